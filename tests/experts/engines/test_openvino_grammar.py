"""Constraints in the library's words: whatever they let through is what our readers read."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import ToolCallReader
from experts.conversation.tool_offer import ToolOffer
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


@given(st.text(alphabet="<>tol_calx /\n\u00e9", max_size=24))
def test_words_alone_have_no_markup(text: str) -> None:
    grammar = structured_output(genai, ToolAnswer((), must_call=False, at_most_one=False)).grammar
    assert accepts(grammar, text) == ("<tool_" not in text and not text.strip(" \n").startswith("<"))


@pytest.mark.parametrize("text", ["", "a <table> of <<tool>s", "a <tool", "1 <2 <to", "List<T>", "a <tool call>"])
def test_words_may_have_any_other_tag(text: str) -> None:
    assert accepts(structured_output(genai, ToolAnswer((), must_call=False, at_most_one=False)).grammar, text)
    assert accepts(plan_of(must_call=False), text)
    assert not accepts(plan_of(must_call=False), f"{text} <tool_call>")


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


FIND = (
    '{"type": "object", "properties": {"what": {"type": "string"}, "top": {"type": "integer"}}, "required": ["what"]}'
)


def plan_of(*, must_call: bool = True, at_most_one: bool = False, form: str | None = None) -> str:
    answer = ToolAnswer((("find", FIND), ("now", NOW)), must_call, at_most_one, form, is_plan=True)
    return str(structured_output(genai, answer).grammar)


def step(number: int, name: str, arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'id': number, 'name': name, 'arguments': arguments})}</tool_call>"


VALUES = st.one_of(
    st.text(alphabet="$0123{}. a", max_size=8), st.integers(-5, 20), st.sampled_from(["$1", "$2.n", "$1[0]"])
)
ARGUMENTS = st.fixed_dictionaries({"what": VALUES}, optional={"top": VALUES})
STEPS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["find", "now", "lose"]), ARGUMENTS), min_size=1, max_size=4
)


@given(STEPS)
def test_whatever_plan_the_grammar_lets_through_is_read_as_one(steps: list[tuple[int, str, dict[str, Any]]]) -> None:
    written = [(number, name, {} if name == "now" else arguments) for number, name, arguments in steps]
    check_plan(written)
    check_plan(
        [(at, "now" if name == "now" else "find", arguments) for at, (_, name, arguments) in enumerate(written, 1)]
    )


def check_plan(steps: list[tuple[int, str, dict[str, Any]]]) -> None:
    """See that a plan which passes has ascending numbers, known tools, right types, and is read as it was written."""
    text = "\n".join(step(*one) for one in steps)
    if not accepts(plan_of(), text):
        return
    assert [number for number, _, _ in steps] == list(range(1, len(steps) + 1))
    reader = ToolCallReader(ToolOffer({"find": json.loads(FIND), "now": json.loads(NOW)}, is_plan=True), lambda: "id")
    pieces = reader.push(text) + reader.close(is_cut=False)
    assert dict(reader.counts) == {Outcome.OK: len(steps)}
    deltas = [piece for piece in pieces if not isinstance(piece, str)]
    for index, (number, name, arguments) in enumerate(steps):
        own = [delta for delta in deltas if delta.index == index]
        assert "".join(delta.name for delta in own) == name
        assert json.loads("".join(delta.arguments for delta in own)) == arguments
        assert all(earlier < number for earlier in own[-1].depends_on.calls)


@pytest.mark.parametrize(
    ("count", "parameters"),
    [(128, {"a": {}}), (128, {f"p{n}": {"type": "string"} for n in range(6)}), (1, {f"p{n}": {} for n in range(200)})],
)
def test_a_plans_grammar_is_made_in_a_moment_whatever_the_tools(count: int, parameters: dict[str, Any]) -> None:
    schema = json.dumps({"type": "object", "properties": parameters, "required": list(parameters)})
    tools = tuple((f"{'x' * 40}{number}", schema) for number in range(count))
    worked = 0

    def count_calls(frame: object, event: str, argument: object) -> None:
        nonlocal worked
        worked += event in ("call", "c_call")

    sys.setprofile(count_calls)
    try:
        grammar = structured_output(genai, ToolAnswer(tools, True, False, is_plan=True)).grammar
    finally:
        sys.setprofile(None)
    assert worked < 400_000  # it was up to 1.3 million, two seconds of the replica
    assert len(grammar) < 50_000
    assert accepts(grammar, step(1, tools[-1][0], dict.fromkeys(parameters, "a")))


@pytest.mark.parametrize(
    ("steps", "passes"),
    [
        ([(1, "find", {"what": "a"})], True),
        ([(1, "find", {"what": "a"}), (2, "find", {"what": "$1", "top": "$1.n"})], True),
        ([(1, "find", {"what": "$1"})], False),
        ([(1, "find", {"what": "a"}), (2, "find", {"what": "$2"})], False),
        ([(1, "find", {"what": "a"}), (3, "now", {})], False),
        ([(2, "find", {"what": "a"})], False),
        ([(1, "lose", {})], False),
        ([(1, "find", {"top": 1})], False),
        ([(1, "find", {"what": "a", "top": "2"})], False),
    ],
)
def test_which_plans_pass(steps: list[tuple[int, str, dict[str, Any]]], passes: bool) -> None:
    assert accepts(plan_of(), "\n".join(step(*one) for one in steps)) is passes


def test_beside_a_plan_an_answer_may_be_words_unless_it_must_call() -> None:
    free = plan_of(must_call=False)
    for words in ("No tool fits.", "<none> Sorry.", "", "1 < 2, so <b>", "<ask> When?"):
        assert accepts(free, words)
        assert not accepts(plan_of(), words)
    assert not accepts(free, f"Well: {step(1, 'now', {})}")
    assert accepts(free, step(1, "now", {}))


def test_beside_a_plan_an_answer_may_follow_a_form() -> None:
    grammar = plan_of(must_call=False, form='{"type": "integer"}')
    assert accepts(grammar, "12") and accepts(grammar, step(1, "now", {}))
    assert not accepts(grammar, "words")


def test_a_plan_of_one_step_where_calls_may_not_be_parallel() -> None:
    two = "\n".join([step(1, "now", {}), step(2, "now", {})])
    assert accepts(plan_of(), two) and not accepts(plan_of(at_most_one=True), two)


def test_with_many_tools_a_plan_is_shorter_and_looser_and_still_refers_backwards() -> None:
    tools = tuple((f"tool_{n}", FIND) for n in range(128))
    grammar = str(structured_output(genai, ToolAnswer(tools, must_call=True, at_most_one=False, is_plan=True)).grammar)
    assert len(grammar) < 45_000
    first = step(1, "tool_7", {"what": "a"})
    assert accepts(grammar, "\n".join([first, step(2, "tool_99", {"what": "$1"})]))
    assert not accepts(grammar, "\n".join([first, step(2, "tool_99", {"what": "$2"})]))
