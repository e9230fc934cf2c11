"""What a conversation's system prompt asks for: read sentence by sentence, with weights of its own.

`gate.Gate` adds what it says to what the network says of the user's words. Most sentences of a system prompt are about
manners and house rules: a sentence whose effect stays below a threshold counts nothing at all, so boilerplate of any
length leaves a decision as it was. "You are a SQL assistant" moves the log-odds; "translate whatever the user writes"
also lowers the weight of the user's words (`keep`). Documents inside a system prompt are cut out first.

Operators send the same prompt again and again: what a sentence says is remembered.
"""

import re
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from router.features.featurize import Features
from router.features.hashing import BUCKETS, bucket, cut, split_words, text_families
from router.features.lexicon import concept_families, concepts_among
from router.features.no_code import strike
from router.features.structure import STRUCTURE_NAMES, Floats
from router.features.window import ends, normalise
from router.features.word_vectors import shipped_vectors
from router.model.network import Network

HEAD_CHARS, TAIL_CHARS = 3_000, 1_000
MAX_SENTENCES = 28
SENTENCE_CHARS = 280
REMEMBERED = 4_096  # sentences
QUIET = 1.5  # a sentence that speaks for no expert with this much says nothing
QUIET_AGAINST = 1.8  # nor does one that speaks against none with this much: boilerplate does so sooner than for one
NO_CODE_WEIGHT = 1.0  # of the clue that a sentence forbids code, beside families of n-grams
OPINION = 4.0  # log-odds of the network that count as firm
LOUDEST = 9.0  # log-odds that all sentences together may add

_NO_CODE = np.array([zlib.crc32(b"\0no code")], dtype=np.uint64)
_LOOKS_LIKE_NOTHING = np.zeros(len(STRUCTURE_NAMES), dtype=np.float32)
_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？।؟])|\n+")
_BULLET = re.compile(r"^[\s#*\-•>\d.)]+")
_HEADED = re.compile(
    r"^\W{0,4}(?:context|sources?|documents?|passages?|excerpts?|articles?|transcript|knowledge(?: base)?|chat history"
    r"|history|kontext|contexte|contexto|contesto|контекст|上下文|資料|资料)\W{0,3}(?::|：|\n)",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(
    r"<(/?)(?:context|sources?|documents?|docs?|passages?|excerpts?|articles?|transcript|knowledge|data|text|files?|history"
    r"|chat_history|conversation|messages?|examples?|schema|memory|search_results?|results?|user_query|query|page)\b[^<>]{0,120}>",
    re.IGNORECASE,
)
_NEXT_HEADING = re.compile(r"^\s*(?:#{1,6} |question\b|user query\b|query\b|answer\b)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a system prompt does to the log-odds of the user's words.

    Attributes:
        shift: added to each class, (C,).
        keep: what the words' own log-odds are multiplied by, in (0, 1].
    """

    shift: Floats
    keep: float

    def on(self, raw: Floats) -> Floats:
        """Apply it to raw log-odds, (C,) or (n, C)."""
        return raw * np.float32(self.keep) + self.shift


@dataclass(frozen=True)
class SystemHead:
    """Weights of a sentence.

    Attributes:
        known: buckets of the n-grams it knows, (K,) int32, ascending.
        hashed: what each adds, (K, C + 1) float32: to every class, and last to what the user's words lose.
        dense: what meaning adds, and what the network would say of the sentence, (SIZE + C, C + 1) float32.
    """

    known: np.ndarray[Any, np.dtype[np.int32]]
    hashed: Floats
    dense: Floats
    _remembered: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    def effect(self, text: str, network: Network) -> Effect | None:
        """Read a system prompt, as `conversation.Thread` holds it; None where it asks for nothing in particular."""
        said = [self._said(sentence, network) for sentence in sentences(text)]
        return combined(np.array(said)) if said else None

    def _said(self, sentence: str, network: Network) -> Floats:
        """Weigh one sentence, (C + 1,); remembered."""
        found = self._remembered.get(sentence)
        if found is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            found = self._remembered[sentence] = self.weigh(read_sentence(sentence), network)
        return found

    def weigh(self, sentence: Features, network: Network) -> Floats:
        """Add up what a sentence says, (C + 1,)."""
        rows = self._rows.take(self._places.take(sentence.indices), axis=0)
        return np.asarray(sentence.values @ rows + numbers(sentence, network) @ self.dense, dtype=np.float32)

    @cached_property
    def _places(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Row by bucket, (BUCKETS,); 0 = not known."""
        places = np.zeros(BUCKETS, dtype=np.int32)
        places[self.known] = np.arange(1, len(self.known) + 1)
        return places

    @cached_property
    def _rows(self) -> Floats:
        """`hashed` with a row of zeros before it, for n-grams that are not known."""
        return np.concatenate([np.zeros((1, self.hashed.shape[1]), dtype=np.float32), self.hashed])


def combined(said: Floats) -> Effect | None:
    """Put sentences (n, C + 1) together; None where all are quiet."""
    words = said[:, :-1]
    loud = said[(words.max(axis=1) >= QUIET) | (words.min(axis=1) <= -QUIET_AGAINST)]
    if not len(loud):
        return None
    total = loud.sum(axis=0)
    shift = LOUDEST * np.tanh(total[:-1] / LOUDEST)
    return Effect(np.asarray(shift, dtype=np.float32), float(np.exp(-max(0.0, float(total[-1])))))


def sentences(text: str) -> list[str]:
    """Cut a system prompt into sentences, lower case, without documents, at most `MAX_SENTENCES`."""
    if not text:
        return []
    own = _without_headed(_without_tagged(ends(text, HEAD_CHARS, TAIL_CHARS)))
    parts = (_BULLET.sub("", part).strip() for part in _END.split(normalise(own)))
    found = [part[:SENTENCE_CHARS] for part in parts if len(part) > 1]
    half = MAX_SENTENCES // 2
    return found if len(found) <= MAX_SENTENCES else found[:half] + found[-half:]


def _without_tagged(text: str) -> str:
    """Leave out fences, triple quotes, and tags that hold documents; one that is never closed holds the rest."""
    text = "\n".join("\n".join(text.split("```")[::2]).split('"""')[::2])
    kept, depth, at = [], 0, 0
    for tag in _TAG.finditer(text):
        if depth == 0:
            kept.append(text[at : tag.start()])
        depth = max(0, depth + (-1 if tag[1] else 1))
        at = tag.end()
    return "\n".join(kept if depth else [*kept, text[at:]])


def _without_headed(text: str) -> str:
    """Leave out what stands under a heading such as "Context:", up to the next heading."""
    kept, rest = [], text
    while headed := _HEADED.search(rest):
        kept.append(rest[: headed.start()])
        following = _NEXT_HEADING.search(rest, headed.end())
        rest = rest[following.start() :] if following else ""
    return "\n".join([*kept, rest])


def read_sentence(sentence: str) -> Features:
    """Turn a sentence into numbers; how it looks says nothing."""
    sentence, no_code = strike(sentence)
    found = split_words(sentence)
    words = cut(found)
    families = text_families(found, 1.0, lead=True) + concept_families(concepts_among(words))
    if no_code:
        families.append((_NO_CODE, NO_CODE_WEIGHT))
    hashed = bucket(families)
    dense = np.concatenate([_LOOKS_LIKE_NOTHING, shipped_vectors().pool(words)])
    return Features(hashed.indices, hashed.values, dense)


def numbers(sentence: Features, network: Network) -> Floats:
    """Lay out the dense part: meaning, and what the network would say if a user had written it, (SIZE + C,)."""
    opinion = np.tanh(network.logits(sentence) / OPINION)
    return np.concatenate([sentence.dense[len(STRUCTURE_NAMES) :], opinion]).astype(np.float32)
