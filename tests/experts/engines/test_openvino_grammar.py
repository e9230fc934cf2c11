"""Constraints in the library's words: whatever they let through is what our readers read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import ToolCallReader, ToolOffer
from experts.engine import JsonAnswer, ToolAnswer
from experts.engines.openvino_grammar import structured_output
from tests.experts.ebnf import accepts

genai: Any = pytest.importorskip("openvino_genai", reason="needs the [cpu] extra")

CITY = '{"type": "object", "properties": {"city": {"enum": ["Oslo", "Bern"]}}, "required": ["city"]}'
NOW = '{"type": "object", "additionalProperties": false}'
TOOLS = (("weather", CITY), ("now", NOW))


def tags_of(*, must_call: bool, at_most_one: bool, tools: tuple[tuple[str, str], ...] = TOOLS) -> Any:
    return structured_output(genai, ToolAnswer(tools, must_call, at_most_one)).structural_tags_config


def test_an_answer_is_held_to_its_schema() -> None:
    grammar = structured_output(genai, JsonAnswer(CITY)).grammar
    assert accepts(grammar, '{"city": "Oslo"}')
    assert not accepts(grammar, '{"city": "Rome"}')
    assert not accepts(grammar, "Oslo")


def test_every_tool_has_a_tag_with_its_own_arguments() -> None:
    weather, now = tags_of(must_call=True, at_most_one=False).tags
    assert ("weather" in weather.begin, "now" in now.begin) == (True, True)
    assert accepts(weather.content.value, '{"city": "Bern"}')
    assert not accepts(weather.content.value, "{}")
    assert accepts(now.content.value, "{}")
    assert not accepts(now.content.value, '{"city": "Bern"}')


@pytest.mark.parametrize("at_most_one", [True, False])
def test_calls_that_must_come_leave_no_words(at_most_one: bool) -> None:
    config = tags_of(must_call=True, at_most_one=at_most_one)
    assert isinstance(config, genai.StructuredOutputConfig.TagsWithSeparator)
    assert (config.at_least_one, config.stop_after_first, config.separator) == (True, at_most_one, "\n")


@pytest.mark.parametrize("at_most_one", [True, False])
def test_calls_that_may_come_begin_at_any_place(at_most_one: bool) -> None:
    config = tags_of(must_call=False, at_most_one=at_most_one)
    assert isinstance(config, genai.StructuredOutputConfig.TriggeredTags)
    assert (config.at_least_one, config.stop_after_first) == (False, at_most_one)
    assert all(tag.begin.startswith(trigger) for tag in config.tags for trigger in config.triggers)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), st.sampled_from(["Oslo", "Bern"]))
def test_what_a_tag_lets_through_is_read_as_a_call(name: str, city: str) -> None:
    [tag] = tags_of(must_call=True, at_most_one=True, tools=((name, CITY),)).tags
    arguments = json.dumps({"city": city})
    assert accepts(tag.content.value, arguments)
    reader = ToolCallReader(ToolOffer({name: json.loads(CITY)}, is_constrained=True), lambda: "id")
    pieces = reader.push(tag.begin + arguments + tag.end) + reader.close(is_cut=False)
    deltas = [piece for piece in pieces if not isinstance(piece, str)]
    assert (dict(reader.counts), len(deltas) == len(pieces)) == ({Outcome.OK: 1}, True)
    assert "".join(delta.name for delta in deltas) == name
    assert json.loads("".join(delta.arguments for delta in deltas)) == {"city": city}


def test_beside_a_form_an_answer_is_calls_or_follows_it() -> None:
    weather = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'
    now = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    form = (
        '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}'
    )
    many, one = (structured_output(genai, ToolAnswer(TOOLS, False, once, form)).grammar for once in (False, True))
    for grammar in (many, one):
        assert all(accepts(grammar, text) for text in (weather, now, '{"n": 7}'))
        assert not any(accepts(grammar, text) for text in ("Hello", "{}", weather + '{"n": 7}', '{"n": 7}' + now, ""))
        assert not accepts(grammar, weather.replace("Oslo", "Rome"))
    assert (accepts(many, f"{weather}\n{now}"), accepts(one, f"{weather}\n{now}")) == (True, False)
