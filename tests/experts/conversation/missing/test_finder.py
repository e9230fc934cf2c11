"""What a call lacks, that it is asked for in its place, and that the answer to the question brings the call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.answer import AnswerReader
from experts.conversation.missing.finder import MOST_HELD, Missing, missing_in, whole_fields
from experts.conversation.missing.question import Parameter, question
from experts.engine import FinishReason
from protos import chat_pb2, expert_pb2

FLIGHT = {
    "type": "object",
    "properties": {
        "origin": {"type": "string", "description": "City to leave from, e.g. Paris"},
        "destination": {"type": "string"},
        "seats": {"type": "integer"},
        "class": {"enum": ["economy", "business"]},
        "note": {"type": "string"},
    },
    "required": ["origin", "destination", "class"],
}
TOOLS = [
    chat_pb2.Tool(name="book", parameters_json=json.dumps(FLIGHT)),
    chat_pb2.Tool(name="list", parameters_json='{"type": "object", "properties": {}}'),
]
ORIGIN, DESTINATION = Parameter("origin", "City to leave from, e.g. Paris"), Parameter("destination", "")
WHOLE: dict[str, object] = {"origin": "Oslo", "destination": "Rome", "class": "economy"}


def conversation(*turns: str, system: str = "", **more: Any) -> chat_pb2.Conversation:  # fields
    """Make a conversation of turns that alternate, the user's first."""
    roles = [chat_pb2.ROLE_USER, chat_pb2.ROLE_ASSISTANT]
    messages = [chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, content=system)] if system else []
    messages += [chat_pb2.Message(role=roles[at % 2], content=turn) for at, turn in enumerate(turns)]
    return chat_pb2.Conversation(tools=TOOLS, messages=messages, **more)


def test_what_nobody_said_is_missing() -> None:
    missing = Missing(conversation("Book a flight from Oslo for me, please"))
    assert missing.of("book", WHOLE) == [DESTINATION]
    assert missing.of("book", {"origin": "Rome", "class": "economy"}) == [ORIGIN]  # what is absent breaks the schema


@pytest.mark.parametrize(
    "told",
    [
        conversation("Book the flight from Oslo to Rome"),
        conversation("Book the flight", system="The user lives in Oslo and his mother in Rome."),
        conversation("Book a flight from Oslo", "Shall I take Rome?", "Yes, please do that"),
        conversation("Book the flight", documents=[chat_pb2.Document(title="Oslo", text="Trip to Rome")]),
        conversation("Reserva un vuelo para mañana"),
        conversation("フライトを予約して"),
    ],
)
def test_what_anybody_said_and_what_may_be_a_translation_is_not(told: chat_pb2.Conversation) -> None:
    assert Missing(told).of("book", WHOLE) == []


def test_one_city_is_not_two() -> None:
    missing = Missing(conversation("Book the flight to Rome for me"))
    assert missing.of("book", WHOLE | {"origin": "Rome"}) == [ORIGIN, DESTINATION]


def test_results_and_arguments_of_earlier_calls_count() -> None:
    told = conversation("Book the flight to where she lives", "", "It is for me")
    told.messages[1].tool_calls.add(name="find", arguments='{"person": "Oslo"}')
    told.messages.add(role=chat_pb2.ROLE_TOOL, content='{"city": "Rome"}')
    assert Missing(told).of("book", WHOLE) == []


def test_optional_values_and_those_that_the_schema_names_are_nobodys_to_say() -> None:
    missing = Missing(conversation("Book the flight from Oslo to Rome"))
    assert missing.of("book", WHOLE | {"seats": 4, "note": "Paris"}) == []
    assert missing.of("list", {"origin": "Paris"}) == []
    assert missing.of("nothing", {}) == []


def test_what_was_asked_for_is_not_asked_again() -> None:
    asked = question([ORIGIN, DESTINATION])
    assert Missing(conversation("Book a flight, please", asked, "Surprise me with the best")).of("book", WHOLE) == []
    asked = question([DESTINATION])
    assert Missing(conversation("Book a flight, please", asked, "Any will do for me")).of("book", WHOLE) == [ORIGIN]


def test_the_words_of_a_question_are_no_value() -> None:
    told = conversation("Book a flight, please", question([Parameter("seats", "Where in Oslo")]), "Two for me")
    assert ORIGIN in Missing(told).of("book", WHOLE)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("{", {}),
        ('{"a": 12', {}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": "x, }", "b": [1, 2', {"a": "x, }"}),
        ('{ "a" : {"b": 1} }', {"a": {"b": 1}}),
        ('{"a": nonsense}', {}),
        ("[1]", {}),
        ('{"a": ' + "[" * 100_000, {}),
    ],
)
def test_whole_fields_are_read_while_the_rest_comes(text: str, fields: dict[str, object]) -> None:
    assert dict(whole_fields(text)) == fields


@given(
    fields=st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers(), max_size=4),
    end=st.integers(0, 80),
)
def test_a_beginning_has_the_fields_of_the_whole(fields: dict[str, object], end: int) -> None:
    assert dict(whole_fields(json.dumps(fields)[:end])).items() <= fields.items()
    assert dict(whole_fields(json.dumps(fields))) == fields


@pytest.mark.parametrize(
    "forced",
    [
        conversation("Book", plan=True),
        conversation("Book", tool_choice=chat_pb2.ToolChoice(mode=chat_pb2.ToolChoice.MODE_REQUIRED)),
        conversation("Book", tool_choice=chat_pb2.ToolChoice(mode=chat_pb2.ToolChoice.MODE_NAMED, name="book")),
        conversation("Book", tool_choice=chat_pb2.ToolChoice(mode=chat_pb2.ToolChoice.MODE_NONE)),
        conversation("Book", response_format=chat_pb2.ResponseFormat(type=chat_pb2.ResponseFormat.TYPE_JSON_OBJECT)),
    ],
)
def test_nothing_is_asked_where_no_question_may_come(forced: chat_pb2.Conversation) -> None:
    assert missing_in(forced) is None


@pytest.mark.parametrize("parameters", ["", "[]", "{", '{"required": 1}', '{"required": ["a", 1], "properties": []}'])
def test_parameters_that_say_nothing_ask_for_nothing(parameters: str) -> None:
    told = conversation("Book the flight for me")
    told.tools.add(name="odd", parameters_json=parameters)
    missing = missing_in(told)
    assert missing is not None and missing.of("odd", {"a": "Paris"}) == []


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def answered(told: chat_pb2.Conversation, text: str, *, is_constrained: bool = True) -> expert_pb2.GenerateChunk:
    """Read an answer letter by letter; return all of it as one chunk."""
    reader = AnswerReader(told, is_constrained=is_constrained, asks_for_missing=True)
    chunks = [*map(reader.push, text), reader.close("", FinishReason.STOP)]
    whole = expert_pb2.GenerateChunk(completion=chunks[-1].completion)
    whole.text = "".join(chunk.text for chunk in chunks)
    whole.tool_calls.extend(piece for chunk in chunks for piece in chunk.tool_calls)
    return whole


@pytest.mark.parametrize("is_constrained", [True, False])
def test_a_call_that_lacks_a_value_is_a_question(is_constrained: bool) -> None:
    chunk = answered(conversation("Book the flight from Oslo"), call("book", **WHOLE), is_constrained=is_constrained)
    assert (chunk.text, list(chunk.tool_calls)) == (question([DESTINATION]), [])
    assert chunk.completion.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert chunk.completion.tool_calls == expert_pb2.ToolCallCounts(asked=1)


def test_the_answer_to_the_question_brings_the_call() -> None:
    told = conversation("Book the flight from Oslo", question([DESTINATION]), "To Rome.")
    chunk = answered(told, call("book", **WHOLE))
    assert "".join(piece.arguments for piece in chunk.tool_calls) == json.dumps(WHOLE)
    assert (chunk.text, chunk.completion.finish_reason) == ("", chat_pb2.FINISH_REASON_TOOL_CALLS)


@pytest.mark.parametrize("is_constrained", [True, False])
def test_each_call_is_judged_by_itself_and_one_question_asks_for_the_rest(is_constrained: bool) -> None:
    told = conversation("List them, and book the flights from Oslo, one for me and one for Ann")
    calls = [call("book", **WHOLE), call("list"), call("book", **(WHOLE | {"origin": "Paris"}))]
    chunk = answered(told, "\n".join(calls), is_constrained=is_constrained)
    assert [piece.name for piece in chunk.tool_calls if piece.name] == ["list"]
    assert chunk.text == question([DESTINATION, ORIGIN])
    assert chunk.completion.tool_calls == expert_pb2.ToolCallCounts(ok=1, asked=2)
    assert chunk.completion.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS


def test_words_that_have_left_stay_and_the_question_follows() -> None:
    chunk = answered(conversation("Book the flight from Oslo"), f"Gladly.\n{call('book', **WHOLE)}\n")
    assert chunk.text == f"Gladly.\n {question([DESTINATION])}"


def test_a_second_call_is_surplus_where_one_may_come_and_it_became_a_question() -> None:
    told = conversation("Book the flight from Oslo", parallel_tool_calls=False)
    chunk = answered(told, call("book", **WHOLE) + call("list"))
    assert (chunk.text, list(chunk.tool_calls)) == (question([DESTINATION]), [])


def test_arguments_leave_as_soon_as_the_required_ones_are_there() -> None:
    told = conversation("Book the flight from Oslo to Rome")
    reader = AnswerReader(told, is_constrained=True, asks_for_missing=True)
    text = call("book", **WHOLE, note="window")
    left = [bool(reader.push(letter).tool_calls) for letter in text]
    assert left.index(True) == text.index(', "class"')
    assert all(left[left.index(True) : text.index("}</tool_call>")])


def test_a_call_with_a_long_text_leaves_without_a_check() -> None:
    told = conversation("Book the flight from Oslo")
    reader = AnswerReader(told, is_constrained=True, asks_for_missing=True)
    begun = call("book", note="x" * MOST_HELD)
    assert reader.push(begun[: begun.index("xxx")]).tool_calls == []
    assert [piece.name for piece in reader.push("x" * MOST_HELD).tool_calls if piece.name] == ["book"]


def test_a_call_that_was_cut_off_asks_for_nothing() -> None:
    reader = AnswerReader(conversation("Book the flight from Oslo"), is_constrained=True, asks_for_missing=True)
    pieces = [reader.push(letter) for letter in call("book", **WHOLE)[:-20]]
    last = reader.close("", FinishReason.LENGTH)
    assert not any(piece.text or piece.tool_calls for piece in (*pieces, last))
    assert last.completion.finish_reason == chat_pb2.FINISH_REASON_LENGTH


def test_an_expert_that_does_not_ask_calls_as_ever() -> None:
    reader = AnswerReader(conversation("Book the flight from Oslo"), is_constrained=True)
    reader.push(call("book", **WHOLE))
    assert reader.close("", FinishReason.STOP).completion.tool_calls == expert_pb2.ToolCallCounts(ok=1)
