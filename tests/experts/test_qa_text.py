"""Answers as text, and each place where the reference scripts are wrong."""

import pytest

from experts.evaluation.suites.qa_text import exact, f1, matches, matches_words, normalise


def test_normalisation_is_squads_on_english() -> None:
    assert normalise("  The  Eiffel-Tower, (in) a Paris! ") == "eiffeltower in paris"
    assert normalise("$1,000 + an <x>") == "1000 x"


def test_punctuation_of_other_languages_falls_too() -> None:
    assert exact("¿Qué?", ["Qué"])
    assert exact("„Berlin“", ["Berlin"])
    assert exact("24–10", ["2410"])


def test_articles_of_the_rows_language_fall_in_its_rows_alone() -> None:
    assert exact("die Mauer", ["Mauer"], "de")
    assert not exact("die Mauer", ["Mauer"], "en")
    assert exact("El Niño", ["niño"], "es")


def test_f1_is_a_bag_of_words() -> None:
    assert f1("the cat sat", ["cat"]) == pytest.approx(2 / 3)
    assert f1("dog", ["cat", "dog"]) == 1.0
    assert f1("", ["cat"]) == 0.0


def test_half_of_yes_is_not_half_right() -> None:
    assert f1("yes it is", ["yes"]) == 0.0
    assert f1("no", ["no"]) == 1.0


def test_match_is_a_substring() -> None:
    assert matches("It was the Eiffel Tower, in Paris.", ["Eiffel tower"])
    assert matches("unknown", ["no"])  # as NinjaLLM counts it; whole words do better:
    assert not matches_words("unknown", ["no"])
    assert matches_words("There is no such thing", ["no"])


@pytest.mark.parametrize("gold", ["The", "a", "...", ""])
def test_a_gold_answer_of_nothing_matches_nothing(gold: str) -> None:
    """For lost-in-the-middle's script "" is in every text."""
    assert not matches("anything at all", [gold])
    assert not matches_words("anything at all", [gold])
