"""Which of a request's documents are shown: those that share most with the question, by BM25.

A small model loses the answer among ten passages that it finds among three. `experts.conversation.prompts` asks before
it renders, so both doors and the training see the same. No model and no index: a request's documents are the whole
collection. Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with Lucene's
idf, which is never negative. Words count by their first letters, which serves for a stemmer in any language that has
endings (McNamee and Mayfield, Character N-Gram Tokenization for European Language Text Retrieval, 2004); scripts that
put no spaces between words are cut into pairs of characters.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from protos.chat_pb2 import Document

_K1: Final = 1.2  # how soon more of the same word stops counting
_B: Final = 0.75  # how much long documents are held back
_STEM: Final = 4  # characters of a word that count
_SHORT: Final = 0.5  # what words of fewer letters count: among ten documents no count tells "the" from what matters
_WORD: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{2,}")
"""Thai, Lao, kana and Han, which are written without spaces."""


def best(question: str, documents: Sequence[Document], most: int, nearness: Sequence[float] = ()) -> list[int]:
    """Return the positions of at most `most` documents, in their own order; the earlier one wins a draw.

    Args:
        question: whose words count.
        documents: among which.
        most: how many are wanted.
        nearness: of each document's meaning, where an encoder has told it. It and the words' score are brought to mean
            0 and deviation 1 and added, as `experts.retrieval.rank` does.
    """
    if len(documents) <= most:
        return list(range(len(documents)))
    scores = _scores(set(terms(question)), [terms(f"{document.title} {document.text}") for document in documents])
    if len(nearness) == len(documents):
        scores = [words + meaning for words, meaning in zip(_even(scores), _even(nearness), strict=True)]
    ranked = sorted(range(len(documents)), key=lambda at: -scores[at])
    return sorted(ranked[:most])


def terms(text: str) -> list[str]:
    """Cut a text into what is counted."""
    found: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.fullmatch(word):
            found += [word[at : at + 2] for at in range(len(word) - 1)]
        else:
            found.append(word[:_STEM])
    return found


def _even(scores: Sequence[float]) -> list[float]:
    deviation = statistics.pstdev(scores)
    mean = statistics.fmean(scores)
    return [(score - mean) / deviation if deviation > 0 else 0.0 for score in scores]


def _scores(wanted: set[str], documents: Sequence[Sequence[str]]) -> list[float]:
    counts = [Counter(document) for document in documents]
    weights = {term: _weight(term, counts) for term in wanted}
    mean = sum(map(len, documents)) / len(documents) or 1.0
    return [
        sum(_part(weights, count, term, len(document) / mean) for term in wanted if term in count)
        for document, count in zip(documents, counts, strict=True)
    ]


def _weight(term: str, counts: Sequence[Mapping[str, int]]) -> float:
    """Return the inverse document frequency: what few documents have tells more."""
    holders = sum(term in count for count in counts)
    share = _SHORT if len(term) < _STEM and not term.isdigit() else 1.0
    return share * math.log1p((len(counts) - holders + 0.5) / (holders + 0.5))


def _part(weights: Mapping[str, float], count: Mapping[str, int], term: str, length: float) -> float:
    return weights[term] * count[term] * (_K1 + 1) / (count[term] + _K1 * (1 - _B + _B * length))
