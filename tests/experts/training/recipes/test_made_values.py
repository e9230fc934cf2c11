"""Values: what is said and what a call has are the same thing, in the form that the description asks for."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from experts.training.recipes.made_requests import functions
from experts.training.recipes.made_values import draw, draw_alike, words
from experts.training.recipes.said_value import Value

_SEEDS = st.integers(0, 10**9)
_USES = {(one["kind"], json.dumps(one.get("of"))): one for f in functions() for one in f["parameters"].values()}
_MANY = range(300)


def drawn(kind: str, of: Any = None) -> list[Value]:
    return [draw(kind, of, random.Random(seed)) for seed in _MANY]


@given(st.sampled_from(sorted(_USES)), _SEEDS)
def test_a_value_fits_its_own_schema_and_is_said_in_words(use: tuple[str, str], seed: int) -> None:
    made = draw(_USES[use]["kind"], _USES[use].get("of"), random.Random(seed))
    Draft202012Validator.check_schema(dict(made.schema))
    Draft202012Validator(dict(made.schema)).validate(made.value)
    assert made.said.strip() == made.said != ""


@given(st.sampled_from(sorted(_USES)), _SEEDS)
def test_a_value_of_the_same_form_has_its_schema_and_its_note(use: tuple[str, str], seed: int) -> None:
    rng = random.Random(seed)
    kind, of = _USES[use]["kind"], _USES[use].get("of")
    form = draw(kind, of, rng)
    other = draw_alike(kind, of, form, rng)
    assert (other.schema, other.note) == (form.schema, form.note)


@given(st.sampled_from(sorted(_USES)), _SEEDS)
def test_the_draw_is_the_generators_alone(use: tuple[str, str], seed: int) -> None:
    kind, of = _USES[use]["kind"], _USES[use].get("of")
    assert draw(kind, of, random.Random(seed)) == draw(kind, of, random.Random(seed))


@pytest.mark.parametrize("kind", words())
def test_a_word_is_copied_but_for_its_article(kind: str) -> None:
    assert all(one.said in words()[kind] and one.said.endswith(one.value) for one in drawn(kind))


@pytest.mark.parametrize("kind", ["list", "people", "emails"])
def test_every_item_of_a_list_was_said_in_its_order(kind: str) -> None:
    for one in drawn(kind, ["soup", "bread", "salad"]):
        assert [part for part in re.split(r", | and ", one.said)] == one.value


def test_fields_of_an_object_were_said() -> None:
    for one in drawn("place_object"):
        assert all(part in one.said for part in one.value.values())


def test_a_comparison_has_the_sign_that_its_words_mean() -> None:
    words = {">": "over|above|greater", "<": "under|below|less", "=": "exactly|equal"}
    for one in drawn("condition"):
        assert re.search(words[one.value["operator"]], one.said)
        assert one.said.startswith(("an age", "a total", "a price", "a weight"))
        assert one.said.endswith(str(one.value["value"]))


@pytest.mark.parametrize(("kind", "form"), [("currency", r"[A-Z]{3}"), ("language", r"[a-z]{2}")])
def test_a_code_is_called_where_a_code_is_asked_for(kind: str, form: str) -> None:
    coded = [one.value for one in drawn(kind) if one.note]
    assert coded
    assert all(re.fullmatch(form, value) for value in coded)
    assert all(one.value == one.said for one in drawn(kind) if not one.note)


def test_a_choice_is_one_of_its_options_said_in_its_words() -> None:
    options = {"low": ["gently", "a little"], "high": ["strongly"]}
    for one in drawn("choice", options):
        assert one.said in options[one.value]
        assert one.schema["enum"] == ["low", "high"]
    assert {one.value for one in drawn("flag", {True: ["on"], False: ["off"]})} == {True, False}


def test_a_kind_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        draw("phantom", None, random.Random(0))
