"""The forms in which a conversation is searched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.missing.said import Said, fold, numbers_of, tells, words_of


@pytest.mark.parametrize(
    ("text", "folded"), [("São Paulo", "sao paulo"), ("ＡＢＣ", "abc"), ("STRASSE", "strasse"), ("Straße", "strasse")]
)
def test_case_accents_and_width_do_not_count(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_words_of_any_script_are_found() -> None:
    assert words_of("wetter in zürich, 東京 и москва; x_1") == [
        "wetter",
        "in",
        "zürich",
        "東京",
        "и",
        "москва",
        "x",
        "1",
    ]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("two or 3", {2.0, 3.0}),
        ("1,250.50 eur", {1250.5, 1.2505, 1.0, 250.0, 50.0}),
        ("1,5 liter", {1.5, 15.0, 1.0, 5.0}),
        ("twenty-one and thirty second", {21.0, 32.0, 20.0, 1.0, 30.0, 2.0}),
        ("the 11th", {11.0}),
        ("half a dozen", {0.5, 12.0}),
        ("version 1.2.3", {1.0, 2.0, 3.0, 123.0}),
        ("٣ نسخ", {3.0}),
        ("none", set()),
    ],
)
def test_numbers_are_digits_and_words(text: str, numbers: set[float]) -> None:
    assert set(numbers_of(fold(text))) == numbers


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_can_be_searched(texts: list[str]) -> None:
    said = Said(texts)
    assert "".join(words_of(said.text)) == said.letters
    assert said.telling <= said.words and all(map(tells, said.telling))
    assert all(number >= 0 for number in said.numbers)
