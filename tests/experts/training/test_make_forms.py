"""Forms out of sources held out: what they want is what the suite can judge."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.json_forms import JsonSuite
from experts.evaluation.suites.rows import Row, read_rows
from experts.evaluation.suites.suite import Reply
from experts.training.make_forms import main

SPANS = {"PERSON": "Ann", "AGE": "31", "GPE": "Oslo"}
FIND = {
    "name": "find.place",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


def sentence(template: str, *kinds: str) -> dict[str, Any]:
    spans = [{"entity_type": kind, "entity_value": SPANS[kind]} for kind in kinds]
    return {"full_text": template, "masked": template, "spans": spans}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sentences = [sentence("Ann is 31.", "PERSON", "AGE")] * 9
    sentences += [
        sentence("Ann met Ann.", "PERSON", "PERSON"),
        sentence("Oslo.", "GPE"),
        sentence("a\nb", "GPE", "AGE"),
    ]
    write(tmp_path / "guard" / "pii_presidio.jsonl.gz", sentences)
    request = {"messages": [{"role": "user", "content": "A place in Oslo"}], "tools": [{"function": FIND}]}
    calls = [{"find.place": {"city": ["Oslo", "Oslo, Norway"]}}]
    bfcl = [
        request | {"id": "multiple_1", "category": "multiple", "ground_truth": calls},
        request | {"id": "irrelevance_2", "category": "irrelevance", "ground_truth": []},
    ]
    write(tmp_path / "experts" / "tool-caller" / "bfcl.jsonl.gz", bfcl)
    return tmp_path / "experts"


def forms(data: Path, source: str) -> list[Row]:
    out = data / f"{source}.jsonl"
    assert main(["--source", source, "--data", str(data), "--out", str(out)]) == 0
    return read_rows(out)


def test_marked_spans_are_fields_and_a_template_is_not_all_there_is(data: Path) -> None:
    rows = forms(data, "presidio")
    assert len(rows) == 4
    for row in rows:
        assert row["value"] == {"person": "Ann", "age": 31}
        assert set(row["value"]) <= set(row["schema"]["properties"])
        assert set(row["schema"]["required"]) <= set(row["value"])
        suite = JsonSuite()
        assert suite.judge(suite.read(row, 0), Reply(json.dumps(row["value"])))["all_fields"] is True


def test_the_right_tools_parameters_are_a_form(data: Path) -> None:
    [row] = forms(data, "bfcl")
    assert row["allowed"] == {"city": ["Oslo", "Oslo, Norway"]}
    assert row["schema"] == {**FIND["parameters"], "additionalProperties": False}  # type: ignore[dict-item]


def test_a_source_that_is_not_there_is_said_in_a_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", "sgd", "--data", str(data), "--out", str(data / "out.jsonl")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
