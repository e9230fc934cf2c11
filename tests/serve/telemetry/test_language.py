"""Guessing a text's language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.telemetry.language import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a function that adds two numbers", "english"),
        ("Schreib mir bitte ein Gedicht, das mit Regen anfängt", "german"),
        ("¿Cuál es la capital de Francia?", "spanish"),
        ("Écris une lettre pour mon ami", "french"),
        ("Escreva um poema para o meu pai", "portuguese"),
        ("напиши функцию на Python", "cyrillic"),
        ("写一个 Python 函数", "chinese"),
        ("東京の天気はどうですか", "japanese"),
        ("서울의 날씨", "korean"),
        ("ما هي عاصمة فرنسا", "arabic"),
        ("x = 1", "latin"),
        ("42 + 17 =", "none"),
        ("", "none"),
        ("😀😀", "none"),
        ("\ud800", "none"),
        ("ⲁⲃⲅ", "other"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language
    assert language in LANGUAGES


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Scrivi una poesia per il mio gatto, che non dorme", "italian"),
        ("Schrijf een gedicht over het weer voor mijn vader", "dutch"),
        ("Napisz wiersz o deszczu, jak to się robi", "polish"),
        ("Benim için bir şiir yaz, bu çok güzel", "turkish"),
        ("Ποια είναι η πρωτεύουσα;", "greek"),
        ("מהי בירת צרפת", "hebrew"),
        ("फ्रांस की राजधानी क्या है", "devanagari"),
        ("ফ্রান্সের রাজধানী কী", "indic"),
        ("เมืองหลวงของฝรั่งเศส", "thai"),
        ("𠀀𠀁", "chinese"),  # beyond the first plane
    ],
)
def test_every_other_language_of_the_list(text: str, language: str) -> None:
    assert language_of(text) == language


def test_small_words_count_whatever_their_case_and_punctuation() -> None:
    assert language_of('"BITTE!" (WARUM?)') == "german"


def test_a_name_in_another_script_does_not_make_the_language() -> None:
    assert language_of("What is the meaning of the Greek letter π in mathematics?") == "english"


def test_latin_code_inside_chinese_does_not_make_it_latin() -> None:
    assert language_of("请解释这个函数 def add(a, b)") == "chinese"


def test_only_the_beginning_is_read() -> None:
    assert language_of("x " * 300 + "the and is are what how") == "latin"


@given(st.text())
def test_whatever_the_text_the_label_is_one_of_the_closed_set(text: str) -> None:
    assert language_of(text) in LANGUAGES


@given(st.text(st.characters(categories=["N", "P", "Z", "S"])))
def test_without_letters_there_is_no_language(text: str) -> None:
    assert language_of(text) == "none"
