"""Every hand-written seed row has the shape, the validity and the form that it is meant to teach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from experts.evaluation.suites.abstention_sentences import UNKNOWN

_SEEDS = Path(__file__).parents[4] / "experts" / "training" / "recipes" / "seeds"
_LEAST = {"tool-caller": 140, "advisor": 160, "coder": 130, "researcher": 90}
_CITATION = re.compile(r"\[(\d+)\]")
_UNSPACED = re.compile(r"[\u3040-\u9fff]")  # Japanese and Chinese do not separate words


def _rows(expert: str) -> list[dict[str, Any]]:
    with (_SEEDS / f"{expert}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _strict(schema: Any) -> Any:
    """Refuse arguments the schema does not name: it is what a served call is held to."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _strict(value) for key, value in schema.items()}
    return {**closed, "additionalProperties": False} if schema.get("type") == "object" else closed


def _check_call(tools: list[dict[str, Any]], name: str, arguments: dict[str, Any]) -> None:
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    Draft202012Validator(_strict(schemas[name])).validate(arguments)


@pytest.mark.parametrize("expert", _LEAST)
def test_rows_are_many_and_unique(expert: str) -> None:
    rows = _rows(expert)
    asked = {json.dumps([row["messages"], row.get("documents")], sort_keys=True) for row in rows}
    assert len(rows) >= _LEAST[expert]
    assert len(asked) == len(rows)


@pytest.mark.parametrize("expert", _LEAST)
def test_rows_end_where_the_assistant_speaks(expert: str) -> None:
    for row in _rows(expert):
        assert row["messages"][-1]["role"] in {"user", "tool"}
        assert all(message["content"] or message.get("tool_calls") for message in row["messages"])
        assert ("calls" in row) != ("answer" in row)
        text = row.get("answer", "-")
        assert text and text == text.strip()


def test_calls_validate_against_their_schemas() -> None:
    for row in _rows("tool-caller"):
        names = [tool["function"]["name"] for tool in row["tools"]]
        assert len(set(names)) == len(names)
        for call in row.get("calls", []):
            _check_call(row["tools"], call["name"], call["arguments"])
        assert row.get("calls") != []


def test_past_calls_validate_and_every_result_belongs_to_one() -> None:
    for row in _rows("tool-caller"):
        past = [call for message in row["messages"] for call in message.get("tool_calls", [])]
        results = [message["tool_call_id"] for message in row["messages"] if message["role"] == "tool"]
        for call in past:
            _check_call(row["tools"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        assert results == [call["id"] for call in past]


def test_citations_are_in_range_and_absent_only_where_there_is_nothing_to_cite() -> None:
    for row in _rows("researcher"):
        cited = [int(number) for number in _CITATION.findall(row["answer"])]
        answerable = bool(row["documents"]) and row["answer"] not in UNKNOWN.values()
        assert all(1 <= number <= len(row["documents"]) for number in cited), row["answer"]
        assert bool(cited) == answerable, row["answer"]


def test_the_unanswerable_are_enough_and_worded_once_a_language() -> None:
    answers = [row["answer"] for row in _rows("researcher")]
    assert sum(answer in UNKNOWN.values() for answer in answers) >= 25
    assert len(set(UNKNOWN.values())) == len(UNKNOWN)


def test_code_answers_are_one_fenced_block_then_one_sentence() -> None:
    for row in _rows("coder"):
        match = re.fullmatch(r"```[a-z]+\n(.+)\n```\n\n([^\n]+[.。])", row["answer"], re.DOTALL)
        assert match and "```" not in match[1], row["answer"]


def test_python_answers_compile() -> None:
    for row in _rows("coder"):
        if row["answer"].startswith("```python\n"):
            compile(row["answer"].split("```")[1].removeprefix("python\n"), "<seed>", "exec")


def test_advice_is_concise_and_its_rejected_twin_differs() -> None:
    for row in _rows("advisor"):
        words = len(row["answer"].split())
        assert words <= 170
        assert words >= 40 or _UNSPACED.search(row["answer"]), row["answer"]
        assert row["rejected"].strip() and row["rejected"] != row["answer"]
