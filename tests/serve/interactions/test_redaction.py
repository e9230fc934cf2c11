"""What the redaction masks, and that JSON stays JSON."""

from __future__ import annotations

import json

import pytest

from serve.interactions.redaction import Redaction, Redactor


@pytest.fixture
def redaction() -> Redaction:
    return Redaction(Redactor(("email", "phone", "card", "iban", "national_id", "ip", "credentials")))


def test_the_same_thing_has_the_same_name_throughout(redaction: Redaction) -> None:
    assert redaction.text("write to a@b.org or c@d.org") == "write to <EMAIL_1> or <EMAIL_2>"
    assert redaction.text("c@d.org has answered") == "<EMAIL_2> has answered"
    assert redaction.found == {"EMAIL": 3}


def test_what_is_nothing_stays(redaction: Redaction) -> None:
    text = "In 2024 we sold 1,204,998 units at 19.99; version 10.2.3.4 came out on 2024-05-06."
    assert redaction.text(text) == text
    assert not redaction.found


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        ('{"to":"a@b.org"}', {"to": "<EMAIL_1>"}),
        ('{"to":"a\\u0040b.org"}', {"to": "<EMAIL_1>"}),  # escaped
        ('{"card number": 4111111111111111, "n": 1}', {"card number": "<CARD_1>", "n": 1}),
        ('{"a": [4, 5], "say": "no \\"quotes\\" lost"}', {"a": [4, 5], "say": 'no "quotes" lost'}),
    ],
)
def test_arguments_stay_json(redaction: Redaction, arguments: str, masked: object) -> None:
    assert json.loads(redaction.json(arguments)) == masked


def test_words_that_are_no_json_are_masked_all_the_same(redaction: Redaction) -> None:
    assert "a@b.org" not in redaction.json('{"to": "a@b.org\\')


def test_nothing_to_find_finds_nothing() -> None:
    redaction = Redaction(Redactor(()))
    assert redaction.text("a@b.org") == "a@b.org"


def test_only_what_it_is_told_to() -> None:
    redaction = Redaction(Redactor(("credentials",)))
    assert redaction.text("a@b.org has AKIAIOSFODNN7EXAMPLE") == "a@b.org has <SECRET_1>"
