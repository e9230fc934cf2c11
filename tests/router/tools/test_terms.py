"""Names are taken apart, endings are cut off, n-grams keep a word's edges."""

import pytest

from router.tools.terms import grams, spaced, stem, words


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("getWeather_byCity", ["weather", "city"]),
        ("HTTPServer.restart", ["http", "server", "restart"]),
        ("create-todo-item", ["create", "todo", "item"]),
        ("Straßen_suche", ["straßen", "suche"]),
        ("", []),
    ],
)
def test_names_are_taken_apart(name: str, found: list[str]) -> None:
    assert words(spaced(name)) == found


@pytest.mark.parametrize(("one", "other"), [("bookings", "book"), ("cities", "city"), ("converted", "converts")])
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_short_words_keep_their_endings() -> None:
    assert [stem(word) for word in ("bus", "red", "ing")] == ["bus", "red", "ing"]


def test_no_gram_is_a_word() -> None:
    assert grams("city") == ["\0 cit", "\0city", "\0ity "]
    assert grams("a") == ["\0 a "]
