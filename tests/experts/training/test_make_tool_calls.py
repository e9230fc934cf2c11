"""Rows of sources held out: what they want is what the suite can judge, and no recipe reads them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.rows import read_rows
from experts.evaluation.suites.tool_calls import ToolCallSuite
from experts.training.make_tool_calls import main


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


def function(name: str) -> dict[str, Any]:
    properties = {"city": {"type": "string"}}
    return {"name": name, "parameters": {"type": "object", "properties": properties, "required": ["city"]}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "tool-caller"
    services = {name: {"service": name, "functions": [function(f"Find{name}")]} for name in ("Old", "New")}
    write(folder / "sgd_tools_train_services.jsonl.gz", [services["Old"]])
    write(folder / "sgd_tools_test_services.jsonl.gz", list(services.values()))
    said = [{"role": "user", "content": "A place in Bergen"}]
    turns = [
        {"services": [name], "messages": said, "calls": calls, "missing": missing, "reply": "Where?"}
        for name in services
        for calls, missing in (
            ([{"name": f"Find{name}", "arguments": {"city": "Bergen"}}], []),
            ([{"name": f"Find{name}", "arguments": {"city": "Oslo"}}], []),
            ([], ["city"]),
            ([], []),
        )
    ]
    write(folder / "sgd_tools_test.jsonl.gz", turns)
    write(folder / "metatool_tools.jsonl.gz", [{"name": f"Tool{n}", "description": f"Helps {n}"} for n in range(9)])
    needs = [{"query": f"Is {n} odd?", "needs_tool": n % 2 == 0} for n in range(6)]
    write(folder / "metatool_need_tool_or_not.jsonl.gz", needs)
    bfcl = [
        {
            "id": f"{kind}_{n}",
            "category": kind,
            "messages": said,
            "tools": [{"function": function("f")}],
            "ground_truth": [],
        }
        for kind in ("multiple", "irrelevance", "simple_python")
        for n in range(4)
    ]
    write(folder / "bfcl.jsonl.gz", bfcl)
    return tmp_path


def rows(data: Path, source: str, *options: str) -> list[dict[str, Any]]:
    out = data / f"{source}{'-'.join(options)}.jsonl"
    out.unlink(missing_ok=True)
    assert main(["--source", source, "--data", str(data), "--out", str(out), *options]) == 0
    found = [dict(row) for row in read_rows(out)]
    suite = ToolCallSuite()
    assert len([suite.read(row, at) for at, row in enumerate(found)]) == len(found)
    return found


def test_only_new_services_and_said_values_are_asked_for(data: Path) -> None:
    made = rows(data, "sgd")
    assert [row["category"] for row in made] == ["call", "missing"]
    assert {row["tools"][0]["function"]["name"] for row in made} == {"FindNew"}
    assert made[1]["missing"] == ["city"]


def test_requests_without_need_stand_beside_tools(data: Path) -> None:
    made = rows(data, "metatool")
    assert len(made) == 3
    assert all(len(row["tools"]) == 3 and row["calls"] == [] for row in made)
    assert made == rows(data, "metatool")


def test_bfcls_rows_are_those_that_the_recipe_leaves_out(data: Path) -> None:
    assert {row["id"] for row in rows(data, "bfcl")} == {
        *(f"multiple_{n}" for n in range(4)),
        *("irrelevance_0", "irrelevance_2"),
    }
    assert len(rows(data, "bfcl", "--limit", "2")) == 2


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", "bfcl", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "error" in capsys.readouterr().err


def test_a_file_of_another_shape_is_said_without_its_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "tool-caller" / "bfcl.jsonl.gz", [{"secret": "secret words"}])
    assert main(["--source", "bfcl", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: bfcl: a row has another shape: 'category' is missing\n"
    assert not (tmp_path / "out").exists()


def test_rows_that_are_there_are_not_replaced(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "mine.jsonl"
    out.write_text('{"id": "mine"}\n')
    assert main(["--source", "bfcl", "--data", str(data), "--out", str(out)]) == 1
    assert out.read_text() == '{"id": "mine"}\n'
    assert "not replaced" in capsys.readouterr().err
