"""One call: what the model wrote, what the client gets, and what had to be done for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from experts.conversation.tool_call import Call, Outcome, read_call, serialise
from tests.experts.schemas import VALUES

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMAS = {"weather": CITY, "now": {"type": "object"}, "log": {"type": "object"}, "Log": {"type": "object"}}
OSLO = '{"name": "weather", "arguments": {"city": "Oslo"}}'
OSLO_CALL = Call("weather", '{"city": "Oslo"}')


@pytest.mark.parametrize("may_mend", [True, False])
def test_a_call_as_it_should_be(may_mend: bool) -> None:
    assert read_call(OSLO, SCHEMAS, may_mend=may_mend) == (Outcome.OK, OSLO_CALL)


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (OSLO[:-2], OSLO_CALL),
        (OSLO.replace('"', "'"), OSLO_CALL),
        (OSLO.replace("weather", "Weather"), OSLO_CALL),
        (json.dumps({"name": "weather", "arguments": '{"city": "Oslo"}'}), OSLO_CALL),
        ('{"name": "now"}', Call("now", "{}")),
    ],
)
def test_what_was_mended_is_told(body: str, call: Call) -> None:
    assert read_call(body, SCHEMAS, may_mend=True) == (Outcome.REPAIRED, call)


@pytest.mark.parametrize("body", [OSLO[:-1], OSLO.replace('"', "'"), OSLO.replace("weather", "Weather")])
def test_nothing_is_mended_where_it_may_not_be(body: str) -> None:
    assert read_call(body, SCHEMAS, may_mend=False) == (Outcome.TEXT, None)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Let me see.",
        "[1, 2]",
        "null",
        '"weather"',
        '{"arguments": {}}',
        '{"name": 7, "arguments": {}}',
        '{"name": "unknown", "arguments": {}}',
        '{"name": "LOG", "arguments": {}}',  # two tools differ from it in case alone
        '{"name": "now", "arguments": [1]}',
        '{"name": "now", "arguments": "none"}',
        '{"name": "now", "arguments": "[1]"}',
        '{"name": "now", "arguments": null}',
        '{"name": "now", "arguments": {"a": NaN}}',
    ],
)
@pytest.mark.parametrize("may_mend", [True, False])
def test_words_are_no_call(body: str, may_mend: bool) -> None:
    assert read_call(body, SCHEMAS, may_mend=may_mend) == (Outcome.TEXT, None)


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        (OSLO.replace('"Oslo"', "7"), '{"city": 7}'),
        (OSLO.replace('"city": "Oslo"', ""), "{}"),
        (OSLO.replace('"city": "Oslo"', '"city": "Oslo", "city": "Oslo"'), '{"city": "Oslo"}'),
        (OSLO.replace('"Oslo"', "7")[:-1], '{"city": 7}'),
    ],
)
def test_arguments_that_break_the_schema_still_reach_the_caller(body: str, arguments: str) -> None:
    assert read_call(body, SCHEMAS, may_mend=True) == (Outcome.INVALID_ARGUMENTS, Call("weather", arguments))


@given(st.dictionaries(st.sampled_from(["city", "days"]), VALUES))
def test_the_verdict_on_arguments_is_another_validators(arguments: dict[str, object]) -> None:
    body = json.dumps({"name": "weather", "arguments": arguments})
    outcome, call = read_call(body, SCHEMAS, may_mend=True)
    assert call is not None
    assert json.loads(call.arguments) == arguments
    assert (outcome is Outcome.OK) == Draft202012Validator(CITY).is_valid(arguments)


@given(st.text())
def test_no_text_breaks_the_reader(body: str) -> None:
    outcome, call = read_call('{"name": "now", "arguments": {"' + body, SCHEMAS, may_mend=True)
    assert (call is None) == (outcome is Outcome.TEXT)
    assert call is None or isinstance(json.loads(call.arguments), dict)


@given(st.dictionaries(st.text(max_size=2), VALUES | st.sampled_from(["\ud83d", "x\udfff", "😀"]), max_size=3))
def test_what_is_serialised_is_utf_8_and_means_the_same(value: dict[str, object]) -> None:
    text = serialise(value)
    text.encode()
    assert json.loads(text) == value


def test_letters_stay_themselves() -> None:
    assert serialise({"é": "日本 😀"}) == '{"é": "日本 😀"}'
