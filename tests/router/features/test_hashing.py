import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.hashing import (
    BUCKETS,
    MAX_WORDS,
    WORD_CHARS,
    bucket,
    name_buckets,
    place_of,
    split_words,
    text_families,
    words_of,
)

WORDS = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=10), max_size=12)


def characters(*words: str) -> set[int]:
    """Hashes of the n-grams inside words."""
    return set(text_families(words, 1.0)[2][0].tolist())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fix this, please!", ["fix", "this", "please"]),
        ("3.14 and 2026-11-28", ["0", "0", "and", "0", "0", "0"]),
        ("snake_case2", ["snake_case0"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),  # vowel signs stay in their words
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("", []),
        ("?!", []),
    ],
)
def test_text_is_split_into_words_and_numbers_are_one(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text())
def test_words_are_bounded_in_length_and_number(text: str) -> None:
    found = words_of(text * 3)
    assert len(found) <= MAX_WORDS
    assert all(0 < len(word) <= WORD_CHARS for word in found)


def test_a_word_of_a_hundred_thousand_letters_is_one_feature() -> None:
    assert words_of("x" * 100_000 + " y") == ["x" * WORD_CHARS, "y"]
    assert len(words_of("w " * 1000)) == MAX_WORDS


def test_the_hash_is_the_same_on_every_machine() -> None:
    """Weights are stored by bucket; another hash would read a shipped artefact's weights of other words."""
    assert place_of(np.uint64(zlib.crc32(b"python"))) == 119_855
    assert bucket(text_families(["write", "a", "function"], 1.0, lead=True)).indices.sum() == 9_095_656


@given(WORDS, st.floats(0.1, 3), st.booleans())
def test_every_family_that_is_not_empty_has_the_length_it_is_given(
    words: list[str], weight: float, has_lead: bool
) -> None:
    families = text_families(words, weight, lead=has_lead)
    hashed = bucket(families)
    assert hashed.indices.shape == hashed.values.shape
    assert ((hashed.indices >= 0) & (hashed.indices < BUCKETS)).all()
    there = sum(len(hashes) > 0 for hashes, _ in families)
    assert float((hashed.values**2).sum()) == pytest.approx(there * weight**2, rel=1e-4)


def test_a_word_said_twice_counts_once_in_its_family() -> None:
    words, pairs = (bucket([family]) for family in text_families(["tea", "tea", "tea"], 1.0)[:2])
    assert (len(words.indices), len(pairs.indices)) == (1, 1)


def test_pairs_know_their_order() -> None:
    there, back = (text_families(words, 1.0)[1][0].tolist() for words in (["dog", "bites"], ["bites", "dog"]))
    assert there != back


def test_the_first_words_are_others_than_the_same_words_later() -> None:
    begun = {place_of(code) for code in text_families(["who", "was", "he", "then"], 1.0, lead=True)[3][0]}
    said = {place_of(code) for family in text_families(["who", "was", "he", "then"], 1.0) for code in family[0]}
    assert len(begun) == 3
    assert not begun & said


@given(WORDS)
def test_n_grams_stay_inside_their_words(words: list[str]) -> None:
    assert characters(*words) == set().union(*(characters(word) for word in words))


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1))
def test_a_word_is_hashed_alike_in_ascii_text_and_in_any_other(words: list[str]) -> None:
    assert characters(*words) <= characters(*words, "é")


def test_scripts_without_spaces_are_read_by_one_and_two_characters() -> None:
    assert len(characters("天気") & characters("天")) >= 1
    assert characters("天気") & characters("東天気京") - characters("天") - characters("気")
    assert not characters("ab") & characters("b")


def test_buckets_can_be_named_again() -> None:
    text = "write a function"
    named = name_buckets(text)
    for word in words_of(text):
        assert named[place_of(np.uint64(zlib.crc32(word.encode())))] == word
    assert {"write a", "a function", "^write", "^write a", "^write a function"} <= set(named.values())


@given(WORDS)
def test_every_word_pair_and_lead_of_a_text_has_a_name(words: list[str]) -> None:
    named = name_buckets(" ".join(words))
    found = words_of(" ".join(words))
    families = text_families(found, 1.0, lead=True)
    assert all(place_of(code) in named for at in (0, 1, 3) for code in families[at][0])
