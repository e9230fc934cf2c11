"""Answers as text: SQuAD's normalisation, exact match, token F1, and match as NinjaLLM and DBRX count it.

Used by the question suite, after citation marks are removed. Sources: SQuAD's and HotpotQA's evaluation scripts,
lost-in-the-middle's `best_subspan_em`. Where they are wrong we differ, and tests have the cases. A gold answer that is
empty after normalisation ("The") matches nothing instead of everything. Punctuation is Unicode's, not only ASCII's.
Articles are those of the answer's language, so that German and Spanish rows count as English ones do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# The articles of English are dropped everywhere, as in every reference; the others only where a row says its language.
_ARTICLES = {
    "en": "a an the",
    "de": "der die das den dem des ein eine einen einem einer eines",
    "es": "el la los las lo un una unos unas",
    "fr": "le la les l un une des",
}
_CLOSED = frozenset({"yes", "no", "noanswer"})


def normalise(text: str, language: str = "en") -> str:
    """Lower-case, drop punctuation and articles, and collapse spaces.

    Unicode's punctuation falls too ("¿", "–", "“"): ASCII's is replaced by nothing, as in SQuAD, and so is the rest.
    """
    kept = "".join(c for c in text.lower() if not unicodedata.category(c).startswith("P") and c not in "$+<=>^`|~")
    articles = {*_ARTICLES["en"].split(), *_ARTICLES.get(language, "").split()}
    return " ".join(word for word in re.split(r"\s+", kept) if word and word not in articles)


def exact(prediction: str, golds: Sequence[str], language: str = "en") -> bool:
    """Say whether the prediction is one of the gold answers."""
    made = normalise(prediction, language)
    return any(made == normalise(gold, language) for gold in golds)


def f1(prediction: str, golds: Sequence[str], language: str = "en") -> float:
    """Return the best bag-of-words F1 against a gold answer, 0..1."""
    return max((_f1(normalise(prediction, language), normalise(gold, language)) for gold in golds), default=0.0)


def matches(prediction: str, golds: Sequence[str], language: str = "en") -> bool:
    """Say whether a gold answer stands in the prediction, in the middle of a word or not."""
    made = normalise(prediction, language)
    return any(gold in made for gold in (normalise(gold, language) for gold in golds) if gold)


def matches_words(prediction: str, golds: Sequence[str], language: str = "en") -> bool:
    """Say whether a gold answer stands in the prediction as whole words: "no" is not in "know"."""
    made = f" {normalise(prediction, language)} "
    return any(f" {gold} " in made for gold in (normalise(gold, language) for gold in golds) if gold)


def _f1(made: str, gold: str) -> float:
    if (made in _CLOSED or gold in _CLOSED) and made != gold:  # HotpotQA: half of "yes" is not half right
        return 0.0
    made_words, gold_words = made.split(), gold.split()
    common = sum((Counter(made_words) & Counter(gold_words)).values())
    if common == 0:
        return float(made_words == gold_words)
    precision, recall = common / len(made_words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)
