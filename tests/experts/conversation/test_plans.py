"""Plans: the reader numbers steps, tells what they depend on, streams them, and takes anything a model may write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.answer import AnswerReader
from experts.conversation.constraints import constraint_of, tool_offer
from experts.conversation.prompts import render_turns
from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import ToolCallReader
from experts.engine import Capabilities, FinishReason, ToolAnswer
from experts.json_schema.references import MAX_STEPS, references
from protos import chat_pb2

FIND = {"type": "object", "properties": {"what": {"type": "string"}, "top": {"type": "integer"}}, "required": ["what"]}
TOOLS = [
    chat_pb2.Tool(name="find", description="Find things", parameters_json=json.dumps(FIND)),
    chat_pb2.Tool(name="send", parameters_json='{"type": "object"}'),
]


def talk(**more: Any) -> chat_pb2.Conversation:
    said = [chat_pb2.Message(role=chat_pb2.ROLE_USER, content="Find it and send it")]
    return chat_pb2.Conversation(messages=said, tools=TOOLS, plan=True, **more)


def step(number: int | None, name: str, arguments: Any) -> str:
    body: dict[str, Any] = {} if number is None else {"id": number}
    return f"<tool_call>{json.dumps({**body, 'name': name, 'arguments': arguments})}</tool_call>"


def read(text: str, *, is_constrained: bool, size: int = 1000, **more: Any) -> tuple[list[Any], ToolCallReader]:
    """Return name, arguments and dependencies of each call, with text pushed so many characters at a time."""
    offer = tool_offer(talk(**more), is_constrained=is_constrained)
    assert offer is not None
    reader = ToolCallReader(offer, lambda: "id")
    pieces = [piece for at in range(0, len(text), size) for piece in reader.push(text[at : at + size])]
    calls: list[Any] = []
    for piece in [*pieces, *reader.close(is_cut=False)]:
        if isinstance(piece, str):
            continue
        if piece.id:
            calls.append([piece.name, "", None])
        calls[piece.index][1] += piece.arguments
        if piece.HasField("depends_on"):
            calls[piece.index][2] = list(piece.depends_on.calls)
    return calls, reader


PLAN = "\n".join(
    [
        step(1, "find", {"what": "cheese for $250", "top": 2}),
        step(2, "find", {"what": "wine"}),
        step(3, "send", {"to": "Anna", "body": "$1.name with ${2} and $2", "parts": [{"n": "$1.n"}]}),
        step(4, "find", {"what": "more", "top": "$3.count"}),
    ]
)


@pytest.mark.parametrize("is_constrained", [True, False])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_plan_is_read_however_it_is_cut(is_constrained: bool, size: int) -> None:
    calls, reader = read(PLAN, is_constrained=is_constrained, size=size)
    assert [(name, needs) for name, _, needs in calls] == [("find", []), ("find", []), ("send", [1, 2]), ("find", [3])]
    assert json.loads(calls[2][1])["body"] == "$1.name with ${2} and $2"
    assert (reader.counts[Outcome.OK], sum(reader.counts.values())) == (4, 4)


def test_a_step_is_told_before_the_next_one_begins() -> None:
    offer = tool_offer(talk(), is_constrained=True)
    assert offer is not None
    reader = ToolCallReader(offer, lambda: "id")
    pieces = reader.push(step(1, "find", {"what": "x"}))
    assert [piece for piece in pieces if not isinstance(piece, str)][-1].HasField("depends_on")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (step(1, "find", {"what": "$1"}), Outcome.INVALID_ARGUMENTS),
        (step(1, "find", {"what": "$2"}), Outcome.INVALID_ARGUMENTS),
        (step(2, "find", {"what": "x"}), Outcome.INVALID_ARGUMENTS),  # the first step is 1
        (step(1, "find", {"what": "x", "top": "$1"}), Outcome.INVALID_ARGUMENTS),
        (step(1, "lose", {}), Outcome.TEXT),
        (step(None, "find", {"what": "x"}), Outcome.OK),
    ],
)
def test_what_a_model_without_grammar_gets_wrong(text: str, outcome: Outcome) -> None:
    _, reader = read(text, is_constrained=False)
    assert dict(reader.counts) == {outcome: 1}


def test_a_plan_ends_after_so_many_steps() -> None:
    text = "\n".join(step(number, "find", {"what": "x"}) for number in range(1, MAX_STEPS + 5))
    calls, _ = read(text, is_constrained=False)
    assert len(calls) == MAX_STEPS
    assert len(read(text, is_constrained=False, parallel_tool_calls=False)[0]) == 1


def test_calls_outside_plans_are_what_they_were() -> None:
    conversation = talk()
    conversation.plan = False
    offer = tool_offer(conversation, is_constrained=False)
    assert offer is not None
    reader = ToolCallReader(offer, lambda: "id")
    pieces = reader.push(step(None, "find", {"what": "$1 and $9"}))
    assert dict(reader.counts) == {Outcome.OK: 1}
    assert not any(piece.HasField("depends_on") for piece in pieces if not isinstance(piece, str))


def test_calls_of_who_was_not_told_of_plans_are_no_steps() -> None:
    reader = AnswerReader(talk(), is_constrained=False, is_told_of_plans=False)
    text = "\n".join(step(None, "find", {"what": f"costs ${number}"}) for number in (5, 1, 2))
    chunk = reader.push(text)
    end = reader.close("", FinishReason.STOP)
    calls = [*chunk.tool_calls, *end.tool_calls]
    assert [call.arguments for call in calls if call.arguments] == [
        '{"what": "costs $5"}',
        '{"what": "costs $1"}',
        '{"what": "costs $2"}',
    ]
    assert not any(call.HasField("depends_on") for call in calls)
    assert end.completion.tool_calls.ok == 3


def test_the_model_is_told_how_to_plan() -> None:
    (system, _) = render_turns(talk(), "")
    assert '"id": 1' in system.content and "$1.field" in system.content
    plain = talk()
    plain.ClearField("plan")
    assert "$1" not in render_turns(plain, "")[0].content


def test_an_engine_is_held_to_a_plan() -> None:
    can = Capabilities(1, 1000, frozenset({"constraint"}))
    answer = constraint_of(talk(), can)
    assert isinstance(answer, ToolAnswer) and answer.is_plan
    assert constraint_of(talk(), Capabilities(1, 1000, frozenset())) is None


@given(st.text(alphabet='<tool_cal>/{}":,$12 idnamesrgufh[]\\\n', max_size=80), st.booleans())
def test_anything_is_read(noise: str, is_constrained: bool) -> None:
    for text in (noise, PLAN[: len(noise) * 3] + noise, PLAN.replace("$1", noise)):
        calls, _ = read(text, is_constrained=is_constrained)
        for at, (_, arguments, needs) in enumerate(calls, start=1):
            assert all(1 <= number < at for number in needs or ())
            if needs:
                assert set(needs) == {number for number in references(json.loads(arguments)) if number < at}
