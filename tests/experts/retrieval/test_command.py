"""The command line, with a tiny encoder: what a user reads, what a program reads, what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experts.retrieval.command import main
from tests.experts.encoders.tiny_encoder import write_encoder


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "tiny")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "colours.md").write_text("# Colours\nThe sky is blue.\n\n# Plants\nLeaves are green.")
    (folder / "traffic.txt").write_text("A red light means stop.")
    return folder


def run(*arguments: str) -> int:
    command, *rest = arguments
    encoder = ["--encoder", "tiny"] if command in {"index", "evaluate"} else []
    return main([command, *encoder, *rest])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_index_search_list_remove_drop(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("index", "--collection", "c", "docs") == 0
    assert capsys.readouterr().out == "c: 2 new, 0 files as they were; 3 passages indexed\n"
    assert run("search", "--collection", "c", "Why stop at a red light?", "--top-k", "3", "--json") == 0
    words = {(one["passage"]["file"], one["passage"]["place"]): one["words"] for one in told(capsys)["passages"]}
    assert words.pop(("docs/traffic.txt", "line 1")) > 0
    assert words == {("docs/colours.md", "line 2"): 0, ("docs/colours.md", "line 5"): 0}
    assert run("search", "--collection", "c", "sky") == 0
    assert "docs/colours.md, line 2" in capsys.readouterr().out
    assert run("index", "--collection", "c", "--json", "docs") == 0
    assert told(capsys)["unchanged"] == 2
    assert run("remove", "--collection", "c", "docs/traffic.txt") == 0
    assert capsys.readouterr().out == "c: 1 of 1 files removed\n"
    assert run("list") == 0
    assert capsys.readouterr().out == "c: 1 files, 2 passages\n"
    assert run("drop", "--collection", "c") == 0
    assert run("list", "--json") == 0
    assert told(capsys) == {"collections": []}


def test_what_cannot_be_read_is_told_and_the_rest_is_indexed(
    documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (documents / "broken.pdf").write_bytes(b"no pdf")
    assert run("index", "--collection", "c", "docs") == 1
    caught = capsys.readouterr()
    assert caught.out.startswith("c: 2 new")
    assert "broken.pdf: no PDF that can be read" in caught.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["index", "--collection", "C!", "docs"], "a collection's name has"),
        (["index", "--collection", "c", "none"], "no such file or folder"),
        (["search", "--collection", "none", "x"], "there is no collection 'none'"),
        (["evaluate", "--data", "none.jsonl"], "none.jsonl: cannot be read"),
        (["remove", "--collection", "none", "x"], "there is no collection 'none'"),
    ],
)
def test_mistakes_are_told(
    documents: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(*arguments) == 1
    assert words in capsys.readouterr().err


def test_evaluate_tells_each_method(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question": "red light?", "passages": ["A red light.", {"title": "t", "text": "green"}], "gold": 1},
        {"question": "green?", "passages": ["green blue", {"title": "t", "text": "green"}], "gold": 2},
        {"question": "nobody knows", "passages": ["blue"], "gold": None},
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("evaluate", "--data", "rows.jsonl") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["hybrid", "bm25", "dense", "late", "maxsim"]
    figures = json.loads(lines[-1])
    pairs = {f"{one} - {other}" for one in ("hybrid", "late") for other in ("bm25", "dense")}
    assert set(figures["differences"]) == pairs | {"late - hybrid"}
    assert figures["differences"]["hybrid - bm25"]["10"]["value"] == 0
    assert 0 < figures["bytes_per_passage"]["pool"] < figures["bytes_per_passage"]["late"]
    assert figures["baselines"]["late"]["cpu_ms"]["p50"] > 0
    assert (figures["n"], figures["passages"]) == (2, 4)
    assert figures["recall"]["10"] == figures["baselines"]["bm25"]["recall"]["10"] == 1
    low, high = figures["recall_ci95"]["1"]
    assert 0 <= low <= figures["recall"]["1"] <= high <= 1
    assert figures["ms"]["p50"] > 0


def test_rows_of_another_form_are_named(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for row in ({"question": "?"}, {"question": "?", "passages": ["a"], "gold": 2}):
        Path("rows.jsonl").write_text(json.dumps(row))
        assert run("evaluate", "--data", "rows.jsonl") == 1
        assert "rows.jsonl: row 1 is not" in capsys.readouterr().err


def test_late_interaction_is_asked_for_once(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("index", "--collection", "c", "--late-interaction", "docs/traffic.txt") == 0
    assert run("index", "--collection", "c", "docs") == 0, "and stays"
    assert run("index", "--collection", "plain", "docs") == 0
    capsys.readouterr()
    assert run("search", "--collection", "c", "red light", "--json") == 0
    assert {one["passage"]["file"] for one in told(capsys)["passages"]} == {"docs/traffic.txt", "docs/colours.md"}
    (documents / "more.txt").write_text("More.")
    assert run("index", "--collection", "plain", "--late-interaction", "docs") == 1
    assert "'plain' was made by another encoder, for another language, or without token" in capsys.readouterr().err
