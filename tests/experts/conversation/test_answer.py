"""Engine text to what the client gets: calls, citations and form out of one stream, and how the answer ended."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.answer import AnswerReader
from experts.engine import FinishReason
from protos import chat_pb2, expert_pb2

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH
TOOL = chat_pb2.Tool(name="f", parameters_json=json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}}))
SOURCES = [chat_pb2.Document(title="One", text="x"), chat_pb2.Document(title="Two", text="y")]
WITH_TOOL = chat_pb2.Conversation(tools=[TOOL])
WITH_SOURCES = chat_pb2.Conversation(documents=SOURCES)
CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


def read(
    conversation: chat_pb2.Conversation | None, *parts: str, finish: FinishReason = STOP, form: object = None
) -> tuple[str, list[chat_pb2.ToolCallDelta], expert_pb2.Completion]:
    """Read an answer that came in `parts`; the last comes with the end."""
    reader = AnswerReader(conversation, is_constrained=False, form=form)  # type: ignore[arg-type]  # a schema
    chunks = [reader.push(part) for part in parts[:-1]]
    assert not any(chunk.HasField("completion") for chunk in chunks)
    chunks.append(reader.close(parts[-1], finish))
    calls = [call for chunk in chunks for call in chunk.tool_calls]
    return "".join(chunk.text for chunk in chunks), calls, chunks[-1].completion


@pytest.mark.parametrize("conversation", [None, chat_pb2.Conversation()])
@given(parts=st.lists(st.text("<tool_ca>{}[1]\n`"), min_size=1))
def test_nothing_is_read_where_nothing_was_offered(
    conversation: chat_pb2.Conversation | None, parts: list[str]
) -> None:
    text, calls, completion = read(conversation, *parts, CALL + " [9]")
    assert (text, calls) == ("".join(parts) + CALL + " [9]", [])
    assert completion == expert_pb2.Completion(finish_reason=chat_pb2.FINISH_REASON_STOP)


def test_text_that_waits_for_nothing_leaves_at_once() -> None:
    reader = AnswerReader(WITH_SOURCES, is_constrained=False)
    assert [reader.push(part).text for part in ("It is", " so [", "1", "]", ".")] == ["It is", " so ", "", "[1]", "."]


def test_sources_that_came_first_are_cited_at_the_end() -> None:
    reader = AnswerReader(WITH_SOURCES, is_constrained=False, outcomes=("cited", "unknown"))
    text = "".join(reader.push(part).text for part in ("[", "2", "] y", " it", " is"))
    chunk = reader.close(".", STOP)
    [annotation] = chunk.completion.annotations
    assert text + chunk.text == reader.said == "y it is [2]."
    assert (annotation.document, annotation.title) == (2, "Two")
    assert reader.said[annotation.start_index : annotation.end_index] == "[2]"


@pytest.mark.parametrize(
    ("conversation", "text", "said"),
    [
        (WITH_TOOL, "<ask>Which a?", "Which a?"),
        (WITH_TOOL, "<none>No tool helps.", "No tool helps."),
        (WITH_TOOL, "<unknown>No tool helps.", "<unknown>No tool helps."),
        (WITH_SOURCES, "<unknown>I don't know.", "I don't know."),
        (WITH_SOURCES, "<ask>Which?", "<ask>Which?"),
        (chat_pb2.Conversation(), "<ask>[1] Which?", "<ask>[1] Which?"),
        (None, "[1] Which?", "[1] Which?"),
    ],
)
def test_an_outcome_is_read_where_it_may_come(conversation: chat_pb2.Conversation | None, text: str, said: str) -> None:
    reader = AnswerReader(conversation, is_constrained=False, outcomes=("ask", "decline", "cited", "unknown"))
    assert "".join(reader.push(letter).text for letter in text) + reader.close("", STOP).text == said


def test_a_call_behind_outcomes_that_may_come_is_a_call() -> None:
    reader = AnswerReader(WITH_TOOL, is_constrained=False, outcomes=("call", "ask", "decline"))
    calls = [call for letter in CALL for call in reader.push(letter).tool_calls]
    calls += reader.close("", STOP).tool_calls
    assert [call.name for call in calls if call.name] == ["f"]


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (CALL, STOP, chat_pb2.FINISH_REASON_TOOL_CALLS),
        (CALL, LENGTH, chat_pb2.FINISH_REASON_LENGTH),
        ("No tool helps.", STOP, chat_pb2.FINISH_REASON_STOP),
        ("No tool", LENGTH, chat_pb2.FINISH_REASON_LENGTH),
        ("<tool_call>nonsense</tool_call>", STOP, chat_pb2.FINISH_REASON_STOP),
    ],
)
def test_how_an_answer_with_tools_ended(text: str, finish: FinishReason, reason: object) -> None:
    assert read(WITH_TOOL, text, finish=finish)[2].finish_reason == reason


def test_calls_are_counted_by_what_became_of_them() -> None:
    wrong = CALL.replace("1}", '"x"}')
    mended = CALL.replace('"a"', "'a'")
    completion = read(WITH_TOOL, CALL, "\n" + wrong, f"\n{mended}\n{mended}", "\n<tool_call>?</tool_call>")[2]
    counts = completion.tool_calls
    assert (counts.ok, counts.invalid_arguments, counts.repaired, counts.text) == (1, 1, 2, 1)


def test_without_tools_no_calls_are_counted() -> None:
    assert not read(WITH_SOURCES, "So it is [1].")[2].HasField("tool_calls")


def test_the_last_text_is_read_like_the_rest() -> None:
    text, calls, completion = read(chat_pb2.Conversation(tools=[TOOL], documents=SOURCES), "See [2]. ", CALL)
    assert (text, "".join(call.arguments for call in calls)) == ("See [2]. ", '{"a": 1}')
    assert [note.document for note in completion.annotations] == [2]


def test_citations_are_told_with_the_end_and_a_wrong_one_is_dropped() -> None:
    text, _, completion = read(WITH_SOURCES, "A [1", "] and B [3]", " and C [2")
    assert text == "A [1] and B  and C [2"
    assert (len(completion.annotations), completion.dropped_citations) == (1, 1)


def test_a_list_in_json_is_no_citation_and_the_form_is_judged() -> None:
    form = {"type": "array", "items": {"type": "integer"}}
    text, _, completion = read(WITH_SOURCES, "[1, ", "[9]", "]", form=form)
    assert (text, completion.form) == ("[1, [9]]", chat_pb2.FORM_OUTCOME_INVALID)
    assert read(WITH_SOURCES, "[1, ", "9", "]", form=form)[2].form == chat_pb2.FORM_OUTCOME_OK


def test_the_attempts_reach_the_verdict() -> None:
    completion = AnswerReader(None, is_constrained=False, form={}).close("{}", STOP, attempts=2).completion
    assert completion.form == chat_pb2.FORM_OUTCOME_SECOND_ATTEMPT
