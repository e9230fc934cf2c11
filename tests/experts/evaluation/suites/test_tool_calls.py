"""The tool-call suite on crafted rows and replies."""

from typing import Any

import pytest

from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply
from experts.evaluation.suites.tool_calls import ToolCallSuite

TOOL = {
    "name": "math.add",
    "description": "adds",
    "parameters": {
        "type": "dict",
        "properties": {"a": {"type": "float"}, "b": {"type": "float"}},
        "required": ["a", "b"],
    },
}
ROW: dict[str, Any] = {
    "id": "simple_1",
    "category": "simple",
    "messages": [{"role": "user", "content": "1 + 2, please"}],
    "tools": [TOOL],
    "ground_truth": [{"math.add": {"a": [1], "b": [2]}}],
}
NOTHING = ROW | {"category": "irrelevance", "ground_truth": []}
REFERENCE = {key: value for key, value in ROW.items() if key not in {"ground_truth", "category"}} | {
    "calls": [{"name": "math_add", "arguments": {"a": 1, "b": 2}}, {"name": "math_add", "arguments": {"a": 2, "b": 2}}]
}


def judge(row: dict[str, Any], *calls: Call, broken: int = 0) -> dict[str, float]:
    suite = ToolCallSuite()
    return dict(suite.judge(suite.read(row, 0), Reply("", calls, broken)))


def add(a: object, b: object, name: str = "math_add") -> Call:
    return Call(name, {"a": a, "b": b})


def test_bfcls_dialect_becomes_openais() -> None:
    [tool] = ToolCallSuite().read(ROW, 0).conversation.tools
    assert tool.name == "math_add"
    assert '"type": "object"' in tool.parameters_json
    assert '"type": "number"' in tool.parameters_json


def test_a_right_call() -> None:
    assert judge(ROW, add(1, 2.0)) == {"overall": True, "simple": True, "names": True, "broken": False}


def test_wrong_calls() -> None:
    assert judge(ROW, add(1, 3)) == {"overall": False, "simple": False, "names": True, "broken": False}
    assert not judge(ROW)["overall"]
    assert not judge(ROW, add(1, 2), add(1, 2))["overall"]
    assert not judge(ROW, add(1, 2, "math_sub"))["names"]
    assert not judge(ROW, add(1, 2), broken=1)["overall"]


def test_with_nothing_wanted_only_no_call_is_right() -> None:
    assert judge(NOTHING) == {"overall": True, "irrelevance": True, "broken": False}
    assert not judge(NOTHING, add(1, 2))["overall"]
    assert not judge(NOTHING, broken=1)["irrelevance"]  # a call that does not parse is no plain words
    without = {key: value for key, value in NOTHING.items() if key != "ground_truth"}
    assert judge(without)["irrelevance"]


def test_rows_with_reference_calls_come_in_any_order_and_are_also_held_to_the_letter() -> None:
    assert judge(REFERENCE, add(2, 2), add(1, 2)) == {
        "overall": True, "several calls": True, "names": True, "exact": True, "broken": False,
    }  # fmt: skip
    rounded = judge(REFERENCE, add(2.0, 2), add(1, 2))
    assert rounded["overall"]
    assert not rounded["exact"]


@pytest.mark.parametrize(
    "change",
    [{"messages": []}, {"messages": [{"role": "x", "content": ""}]}, {"tools": [{}]}, {"ground_truth": [{"f": 1}]},
     {"ground_truth": 5}, {"tools": None}],
)  # fmt: skip
def test_rows_of_another_shape_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="simple_1"):
        ToolCallSuite().read(ROW | change, 0)


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("What is the second number?", True),
        ("Please tell me the second number.", True),
        ("Which one? I have 1.", True),
        ("\u7b2c\u4e8c\u4e2a\u6570\u662f\u4ec0\u4e48\uff1f", True),
        ("None of the tools can do that.", False),
        ("It is 3.", False),
        ("", False),
    ],
)
def test_where_a_parameter_is_missing_a_question_is_right(answer: str, is_right: bool) -> None:
    suite, row = ToolCallSuite(), NOTHING | {"category": "missing", "missing": ["b"]}
    verdict = suite.judge(suite.read(row, 0), Reply(answer, (), 0))
    assert verdict["overall"] == verdict["missing"] == is_right


def test_where_a_parameter_is_missing_an_invented_value_is_wrong() -> None:
    suite, row = ToolCallSuite(), NOTHING | {"category": "missing", "missing": ["b"]}
    assert not suite.judge(suite.read(row, 0), Reply("Shall I?", (add(1, 2),), 0))["overall"]
