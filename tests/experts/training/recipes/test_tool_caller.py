"""The tool-caller's samples: calls that fit their schemas, and none that it is measured on."""

from __future__ import annotations

from pathlib import Path

from experts.training.recipes import tool_caller
from experts.training.recipes.tool_caller import NO_TOOL
from tests.experts.training.recipes.rows import asked


def test_what_the_tool_caller_is_measured_on_is_not_learnt(data: Path) -> None:
    learnt = {asked(sample) for sample in tool_caller.samples(data, 0)}
    assert not any(text.startswith("multiple") for text in learnt)
    assert {text for text in learnt if text.startswith("irrelevance")} == {f"irrelevance {n}" for n in (1, 3, 5)}


def test_calls_that_do_not_fit_their_schema_are_not_learnt(data: Path) -> None:
    made = {asked(sample): sample for sample in tool_caller.samples(data, 0)}
    assert "seal 3" not in made or made["seal 3"].answer == NO_TOOL
    assert made["seal 5"].answer in {'<tool_call>{"name": "get5", "arguments": {"x": 5}}</tool_call>', NO_TOOL}
    assert made["simple_python 4"].answer in {
        '<tool_call>{"name": "add", "arguments": {"a": 4, "b": 1}}</tool_call>',
        NO_TOOL,
    }


def test_where_no_call_is_learnt_no_right_tool_stands_by(data: Path) -> None:
    for sample in tool_caller.samples(data, 0):
        if asked(sample).startswith("seal") and sample.answer == NO_TOOL:
            number = asked(sample).split()[1]
            assert f"get{number}" not in {tool.name for tool in sample.conversation.tools}
            assert sample.conversation.tools
