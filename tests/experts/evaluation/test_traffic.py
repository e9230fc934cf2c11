"""An answer is measured by the one that somebody has liked."""

from __future__ import annotations

from typing import Any

import pytest

from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.known import RIGHT, SUITES
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply
from experts.evaluation.suites.traffic import TrafficSuite
from protos import chat_pb2 as chat

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "The lift is stuck."}]}
CALL = {"name": "ticket", "arguments": {"urgent": True, "floor": 3}}


def judge(row: dict[str, Any], reply: Reply) -> Any:
    suite = TrafficSuite()
    return suite.judge(suite.read(ASK | row, 0), reply)


def test_words() -> None:
    row = {"answer": "PRIORITY: high\nTEAM: lifts"}
    assert judge(row, Reply("PRIORITY: high  TEAM: lifts")) == {"like": 1.0, "same": True, "called": True}
    half = judge(row, Reply("PRIORITY: low TEAM: doors"))
    assert (half["like"], half["same"]) == (0.5, False)
    assert judge(row, Reply("", calls=(Call("ticket", {}),))) == {"like": 0.0, "same": False, "called": False}
    assert judge(row, Reply("PRIORITY: high TEAM: lifts", broken=1))["like"] == 0.0


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (({"urgent": True, "floor": 3},), True),
        (({"floor": 3, "urgent": True},), True),
        (({"urgent": 1, "floor": 3},), False),
        (({"urgent": True, "floor": 3}, {"urgent": True, "floor": 3}), False),
        ((), False),
    ],
)
def test_calls(made: tuple[dict[str, Any], ...], same: bool) -> None:
    said = judge({"calls": [CALL]}, Reply("", calls=tuple(Call("ticket", given) for given in made)))
    assert said == {"like": float(same), "same": same, "called": bool(made)}


def test_a_row_is_asked_as_it_was() -> None:
    tool = {"type": "function", "function": {"name": "ticket", "parameters": {"type": "object"}}}
    called = {"id": "c1", "function": {"name": "ticket", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "The lift is stuck."},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
    ]
    row = {"id": "r1", "messages": messages, "tools": [tool], "documents": [{"text": "Lifts"}], "answer": "Done."}
    case = TrafficSuite().read(row, 0)
    assert case.name == "r1"
    assert [message.role for message in case.conversation.messages] == [
        chat.ROLE_SYSTEM, chat.ROLE_USER, chat.ROLE_ASSISTANT, chat.ROLE_TOOL,
    ]  # fmt: skip
    assert case.conversation.messages[2].tool_calls[0].name == "ticket"
    assert case.conversation.tools[0].parameters_json == '{"type": "object"}'
    assert case.conversation.documents[0].text == "Lifts"


@pytest.mark.parametrize(
    "row", [{}, {"answer": ""}, {"messages": [], "answer": "x"}, {"messages": [{}], "answer": "x"}]
)
def test_what_is_no_row(row: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        TrafficSuite().read(ASK | row, 0)


def test_it_is_known() -> None:
    assert isinstance(SUITES["traffic"](), TrafficSuite)
    assert RIGHT["traffic"] == ("same",)
