"""Made forms: what a form asks for was said, in its schema's types, and what was not said is left out."""

from __future__ import annotations

import json
import random

import pytest

from experts.evaluation.suites.json_forms import JsonSuite
from experts.evaluation.suites.suite import Reply
from experts.json_schema.conformance import conforms
from experts.training.recipes.made_forms import form_sample, forms_of, made_forms
from experts.training.recipes.made_requests import made_groups
from experts.training.recipes.sample import Sample
from experts.training.recipes.tasks import Task
from tests.experts.training.recipes.rows import asked
from tests.experts.training.recipes.tool_files import tool

FORMS = list(made_forms(300, random.Random(1)))


def schema(sample: Sample) -> dict[str, object]:
    read: dict[str, object] = json.loads(sample.conversation.response_format.schema_json)
    return read


@pytest.mark.parametrize("made", FORMS[:60], ids=lambda made: asked(made)[:40])
def test_an_answer_follows_its_schema_and_says_what_was_said(made: Sample) -> None:
    value = json.loads(made.answer)
    assert conforms(value, schema(made))
    assert list(value) == [key for key in schema(made)["properties"] if key in value]  # type: ignore[attr-defined]
    words = [one for one in value.values() if isinstance(one, str) and not any(sign.isdigit() for sign in one)]
    said = [one for one in words if one in asked(made)]
    assert len(said) >= len(words) - 1  # a currency's code, or a place with its state, may be written otherwise


def test_forms_differ_in_what_they_ask_for() -> None:
    unfilled = sum(set(json.loads(one.answer)) != set(schema(one)["properties"]) for one in FORMS)  # type: ignore[call-overload]
    assert 0.2 < unfilled / len(FORMS) < 0.5
    assert {bool(schema(one)["required"]) for one in FORMS} == {True, False}
    assert len({key for one in FORMS for key in schema(one)["properties"]}) > 100  # type: ignore[attr-defined]


def test_a_field_that_is_not_filled_is_never_required() -> None:
    assert all(set(schema(one)["required"]) <= set(json.loads(one.answer)) for one in FORMS)  # type: ignore[call-overload]


def test_a_request_with_one_call_becomes_the_form_of_its_tool() -> None:
    rng = random.Random(2)
    tasks = [task for group in made_groups(30, rng) for task in group]
    made = list(forms_of(tasks, 40, rng))
    assert len(made) > 30
    for one in made:
        assert conforms(json.loads(one.answer), schema(one))
        assert schema(one)["additionalProperties"] is False


def test_what_is_no_single_call_makes_no_form() -> None:
    shop = tool("find_shop", place="string")
    call = {"name": "find_shop", "arguments": {"place": "Oslo"}}
    wrong = {"name": "find_shop", "arguments": {"place": 7}}
    tasks = [Task("a", [shop], [call, call]), Task("b", [shop], []), Task("c", [shop], [wrong])]
    assert not list(forms_of(tasks, 9, random.Random(0)))


def test_the_suite_takes_an_answer_for_right() -> None:
    fields = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "required": ["a"]}
    row = {"messages": [{"role": "user", "content": "a is x, b is y"}], "schema": fields, "value": {"a": "x", "b": "y"}}
    sample = form_sample(row["messages"], fields, {"a": "x", "b": "y"})  # type: ignore[arg-type]
    assert sample.answer == '{"b": "y", "a": "x"}'
    suite = JsonSuite()
    verdict = suite.judge(suite.read(row, 0), Reply(text=sample.answer))
    assert verdict["all_fields"]
