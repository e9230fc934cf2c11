"""Words as numbers: endings off, what says nothing out, and more of the same counts ever less."""

from __future__ import annotations

import pytest

from experts.retrieval.sparse_words import counted, stem_of, weighted
from experts.retrieval.store import StoreError


def test_endings_and_stop_words_do_not_count() -> None:
    stem = stem_of("English")
    assert counted("The cats are sleeping", stem) == counted("CAT, sleeps!", stem)
    assert counted("the of", stem) == {}
    german = stem_of("German")
    assert counted("Häuser", german) == counted("haus", german)


def test_without_a_language_words_are_what_they_are() -> None:
    assert stem_of("") is None
    assert len(counted("The cats, the cat", None)) == 3
    assert counted("猫 🐈", None) == counted("猫", None)


def test_more_of_the_same_counts_less_and_length_holds_back() -> None:
    once, twice, often = (weighted({1: count, 2: 1})[0] for count in (1, 2, 50))
    assert once < twice < often < 2.2
    assert twice - once < once
    long = weighted({1: 1, **dict.fromkeys(range(2, 300), 1)})[0]
    assert long < once


def test_a_language_that_nobody_knows() -> None:
    with pytest.raises(StoreError, match="Klingon"):
        stem_of("Klingon")
