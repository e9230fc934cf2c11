"""Tasks out of data files: the calls that rows mean, and what is not learnt from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from experts.training.recipes.sample import BadSample
from experts.training.recipes.tasks import Task, holds, tool_name
from experts.training.recipes.tool_sources import (
    SOURCES,
    intents,
    is_learnt_irrelevance,
    plain_requests,
    read_tasks,
    sgd_tasks,
    tools_of,
)
from tests.experts.training.recipes.data_files import place, write
from tests.experts.training.recipes.rows import said
from tests.experts.training.recipes.tool_files import tool


def read(data: Path, source: str) -> list[Task]:
    return read_tasks(data / "tool-caller", source)


def bfcl(tmp_path: Path, allowed: dict[str, list[Any]]) -> dict[str, Any]:
    """Read the call of one BFCL row."""
    row = {"id": "simple_python_0", "category": "simple_python", "messages": said("x"), "tools": [tool("f")]}
    write(place(tmp_path, "bfcl"), [{**row, "ground_truth": [{"f": allowed}]}])
    [task] = read_tasks(tmp_path, "bfcl")
    return dict(task.calls[0]["arguments"])


@pytest.mark.parametrize("source", SOURCES)
def test_what_holds_is_what_may_be_learnt(source: str, data: Path) -> None:
    tasks = read(data, source)
    assert tasks
    assert [task.text for task in tasks if holds(task) is ("decoy" in task.text)] == []


@pytest.mark.parametrize("source", SOURCES)
def test_values_stand_in_what_was_said(source: str, data: Path) -> None:
    tasks = list(filter(holds, read(data, source)))
    assert any(call["arguments"] for task in tasks for call in task.calls)
    for task in tasks:
        spoken = " ".join([*(turn["content"] for turn in task.history), task.text]).lower()
        values = [value for call in task.calls for value in call["arguments"].values()]
        assert all(str(value).lower() in spoken for value in values), task.text


@pytest.mark.parametrize("source", SOURCES)
def test_a_row_of_another_shape_names_its_source_and_not_its_text(source: str, tmp_path: Path, data: Path) -> None:
    for file in (data / "tool-caller").glob("*.jsonl.gz"):
        write(tmp_path / file.name, [{"secret": "secret"}])
    with pytest.raises(BadSample, match=rf"{source}: .*is missing") as caught:
        read_tasks(tmp_path, source)
    assert "secret" not in str(caught.value)


def test_of_bfcl_the_measured_rows_are_left_out(data: Path) -> None:
    kinds = {task.text.split(":")[0] for task in read(data, "bfcl")}
    learnt = {f"{kind} {n}" for kind in ("simple_python", "parallel", "parallel_multiple") for n in range(8)}
    assert kinds == learnt | {f"irrelevance {n}" for n in (1, 3, 5, 7)}


@pytest.mark.parametrize(
    ("category", "name", "is_learnt"),
    [
        ("irrelevance", "irrelevance_1", True),
        ("irrelevance", "irrelevance_10", False),
        ("irrelevance", "live_irrelevance_7", True),
        ("multiple", "multiple_1", False),
    ],
)
def test_odd_irrelevant_rows_are_learnt(category: str, name: str, is_learnt: bool) -> None:
    assert is_learnt_irrelevance({"category": category, "id": name}) is is_learnt


def test_the_first_allowed_value_is_called_and_what_may_be_left_out_is(tmp_path: Path) -> None:
    allowed = {"a": [3, 4], "b": ["x", ""], "c": [{"d": [5, 6], "e": 7, "f": []}], "g": [[1, 2]]}
    assert bfcl(tmp_path, allowed) == {"a": 3, "c": {"d": 5, "e": 7, "f": []}, "g": [1, 2]}


def test_a_talk_is_a_call_a_question_or_thanks(data: Path) -> None:
    tasks = read(data, "sgd")
    called = [task for task in tasks if task.calls]
    asked = [task for task in tasks if task.missing]
    thanked = [task for task in tasks if not task.calls and not task.missing]
    assert len(called) == len(asked) == len(thanked) == 15
    assert all(task.reply == "" for task in called)
    assert {task.reply for task in asked} == {"In which city?"}
    assert {len(task.history) for task in asked} == {2}
    assert {tuple(map(tool_name, task.tools)) for task in called} == {
        (f"Find{name}", f"Book{name}") for name in ("Hotels", "Buses", "Films")
    }


def test_a_service_to_leave_out_is_left_out(data: Path) -> None:
    tasks = list(sgd_tasks(data / "tool-caller", without={"Hotels", "Films"}))
    assert {tool_name(task.tools[0]) for task in tasks} == {"FindBuses"}


def test_intents_are_tools_with_what_they_need() -> None:
    known = intents()
    assert tool_name(known["find"]) == "find_weather"
    assert len({tool_name(one) for one in known.values()}) == len(known)
    for one in known.values():
        schema = one["function"]["parameters"]
        assert set(schema["required"]) <= set(schema["properties"])
        assert one["function"]["description"]


def test_slots_lose_what_stands_before_their_names(data: Path) -> None:
    reminders = [task for task in read(data, "xsid") if task.calls[0]["name"] == "set_reminder"]
    assert [task.calls[0]["arguments"] for task in reminders] == [{"todo": f"Wort{n}q"} for n in range(6)]


def test_plain_requests_come_from_every_file(data: Path) -> None:
    found = plain_requests(data, random.Random(0), 12)
    beginnings = ("Tom has", ("Write a", "Do it"), ("Why is", "Give me", "Tell me"), "Rhyme on")
    assert len(found) == 12
    assert [sum(text.startswith(one) for text in found) for one in beginnings] == [3, 3, 3, 3]
    assert all(10 < len(text) < 300 for text in found)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_no_more_plain_requests_are_drawn_than_wanted(count: int, data: Path) -> None:
    assert len(plain_requests(data, random.Random(0), count)) <= count


def test_tools_are_listed_once() -> None:
    tasks = [Task("x", [tool("a"), tool("b")], ()), Task("y", [tool("b"), tool("c")], ())]
    assert [tool_name(one) for one in tools_of(tasks)] == ["a", "b", "c"]
