"""Rows among tools of other rows: nothing that is needed is lost, and a selection keeps the step's own choice."""

import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.rows import read_rows
from experts.evaluation.suites.tool_calls import ToolCallSuite
from loadtests.distractors import crowded, figures, main, needed


def row(name: str, parameter: str, words: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    function = {"name": name, "description": f"{words} of a {parameter}", "parameters": schema}
    calls = [{"name": name, "arguments": {parameter: "Oslo"}}]
    said = [{"role": "user", "content": f"{words} of the {parameter} Oslo"}]
    return {"messages": said, "tools": [{"type": "function", "function": function}], "calls": calls, **more}


WORDS = (
    "weather",
    "opening hours",
    "tax",
    "recipe",
    "flight",
    "lyrics",
    "distance",
    "dentist",
    "share price",
    "parcel",
)
ROWS = [row(f"get_{words.replace(' ', '_')}", "place", words) for words in WORDS]


def names(one: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in one["tools"]]


def test_each_row_keeps_its_own_tools_and_gets_others_once() -> None:
    made = crowded(ROWS, 5, seed=0)
    for before, after in zip(ROWS, made, strict=True):
        assert needed(before) <= set(names(after))
        assert len(set(names(after))) == len(after["tools"]) == 6
        assert after["calls"] == before["calls"]
    assert {names(one).index(names(own)[0]) for own, one in zip(ROWS, made, strict=True)} != {0}
    assert made == crowded(ROWS, 5, seed=0) != crowded(ROWS, 5, seed=1)


def test_figures_count_what_was_lost() -> None:
    made = crowded(ROWS, 3, seed=0)
    cut = [{**one, "tools": one["tools"][:2]} for one in made]
    found = figures(made, cut)
    assert found["whole"] == sum(names(own)[0] in names(less) for own, less in zip(ROWS, cut, strict=True)) < 10
    assert (found["n"], found["tools"]) == (10, 0.5)


@pytest.mark.parametrize("select", [True, False])
def test_the_suite_reads_what_was_written(select: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    nobody = row("get_rest", "place", "rest", calls=[], category="irrelevance")
    data.write_text("".join(json.dumps(one) + "\n" for one in [*ROWS, nobody]))
    options = ["--data", str(data), "--out", str(out), "--distractors", "9", *(["--select"] if select else [])]
    assert main(options) == 0
    told = json.loads(capsys.readouterr().out)
    rows = read_rows(out)
    assert told["n"] == len(rows) == len(ROWS), "what calls nothing is left out"
    assert (told["tools"] < 1) is select
    for one in rows:
        ToolCallSuite().read(one, 0)
    assert main(options) == 1, "nothing is replaced"


def test_a_lower_recall_keeps_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, kept = tmp_path / "rows.jsonl", []
    data.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    for recall in ("0.9", "0.99"):
        out = tmp_path / f"{recall}.jsonl"
        assert main(["--data", str(data), "--out", str(out), "--distractors", "9", "--select", "--recall", recall]) == 0
        kept.append(json.loads(capsys.readouterr().out)["tools"])
    assert kept == sorted(kept)
