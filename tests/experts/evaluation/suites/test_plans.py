"""The suite of plans on crafted rows and answers."""

from typing import Any

import pytest

from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.plans import PlanSuite
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("find", "book", "mail")
]
ROW: dict[str, Any] = {
    "id": "r",
    "query": "Find a flight, book it, and mail both",
    "tools": TOOLS,
    "plan": [
        {"id": 1, "tool": "find", "args": {"to": "Oslo", "top": 2}},
        {"id": 2, "tool": "book", "args": {"flight": "$1.id"}},
        {"id": 3, "tool": "mail", "args": {"body": "$1.name and $2.code"}},
    ],
}
RIGHT = (
    Call("find", {"to": "oslo", "top": "2"}),
    Call("book", {"flight": "$1.flight_id"}),
    Call("mail", {"body": "${1.title} and $2"}),
)


def judge(*calls: Call, broken: int = 0, row: dict[str, Any] = ROW) -> dict[str, float]:
    suite = PlanSuite()
    return dict(suite.judge(suite.read(row, 0), Reply("", calls, broken)))


def test_a_plan_is_asked_for() -> None:
    conversation = PlanSuite().read(ROW, 0).conversation
    assert conversation.plan
    assert [tool.name for tool in conversation.tools] == ["find", "book", "mail"]


def test_a_right_plan() -> None:
    perfect = {"graph": True, "args": 1, "whole": True, "tool_recall": 1, "edits": 0, "saved": 2 / 3, "valid": True}
    assert judge(*RIGHT) == pytest.approx(perfect)


def test_right_in_form_and_wrong_in_words() -> None:
    verdict = judge(Call("find", {"to": "Rome", "top": 2}), *RIGHT[1:])
    assert (verdict["graph"], verdict["whole"], verdict["args"]) == (True, False, pytest.approx(2 / 3))


def test_a_reference_to_another_tool_is_another_argument() -> None:
    verdict = judge(RIGHT[0], RIGHT[1], Call("mail", {"body": "$2.name and $1.code"}))
    assert (verdict["graph"], verdict["args"]) == (True, pytest.approx(2 / 3))


def test_a_step_is_missing_or_too_many() -> None:
    fewer, more = judge(*RIGHT[:2]), judge(*RIGHT, Call("mail", {}))
    assert (fewer["graph"], fewer["tool_recall"], fewer["saved"]) == (False, pytest.approx(2 / 3), 0)
    assert (more["graph"], more["tool_recall"], more["args"]) == (False, 1, 0.75)
    assert 0 < fewer["edits"] < 1 and 0 < more["edits"] < 1


@pytest.mark.parametrize(
    ("calls", "broken", "valid"),
    [
        (RIGHT, 0, True),
        (RIGHT, 1, False),
        ((), 0, False),
        ((Call("find", {"to": "$1"}),), 0, False),
        ((Call("find", {"to": "$2"}), Call("find", {})), 0, False),
        ((Call("find", {"to": "costs $250"}),), 0, True),
        ((Call("lose", {}),), 0, False),
    ],
)
def test_what_can_be_carried_out(calls: tuple[Call, ...], broken: int, valid: bool) -> None:
    assert judge(*calls, broken=broken)["valid"] is valid


def test_numbers_of_a_reference_need_not_be_places() -> None:
    plan = [{**step, "id": 10 * step["id"]} for step in ROW["plan"]]
    plan[1]["args"], plan[2]["args"] = {"flight": "$10.id"}, {"body": "$10.name and $20.code"}
    assert judge(*RIGHT, row=ROW | {"plan": plan})["whole"] is True


def test_equal_steps_pair_off() -> None:
    plan = [{"id": n, "tool": "find", "args": {"to": to}} for n, to in ((1, "a"), (2, "b"))]
    verdict = judge(Call("find", {"to": "b"}), Call("find", {"to": "a"}), row=ROW | {"plan": plan})
    assert verdict["whole"] is True


@pytest.mark.parametrize(
    "wrong", [{"plan": []}, {"plan": [{"id": 1}]}, {"plan": None}, {"query": 1}, {"tools": [{"name": "x"}]}]
)
def test_rows_of_another_shape_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        PlanSuite().read(ROW | wrong, 0)
