"""`moegate flywheel evaluate`, `promote` and `rollback`, from answers' files to what serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serve import cli


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, catalog_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEGATE_FLYWHEEL__FOLDER", str(tmp_path / "flywheel"))
    monkeypatch.setenv("MOEGATE_EXPERTS__CATALOG", str(catalog_file))


def answers(path: Path, right: int, n: int = 400) -> str:
    """What `experts.evaluate --answers` writes."""
    lines = [{"id": f"q{at}", "answer": "a", "finish": "stop", "verdict": {"call": at < right}} for at in range(n)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights.bin").write_text("new")
    return str(tmp_path / "adapter")


def last(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_better_one_serves_until_it_is_undone(
    tmp_path: Path, candidate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = answers(tmp_path / "old", 200), answers(tmp_path / "new", 280)
    judging = ["flywheel", "evaluate", "coder", "--on", "bar", old, new, "--goal", "bar.call", "--json"]
    assert cli.main([*judging, "--candidate", candidate, "--curated", "abc"]) == 0
    found = last(capsys)
    assert (found["verdict"], found["findings"][0]["difference"]["value"]) == ("better", 0.2)
    promoting = ["flywheel", "promote", "coder", found["candidate"], "--json"]
    assert cli.main(promoting) == 1
    assert "Nobody is here to ask: say --yes" in capsys.readouterr().err
    assert cli.main([*promoting, "--yes"]) == 0
    assert last(capsys)["serves"] == found["candidate"]
    link = tmp_path / "flywheel" / "registry" / "coder" / "current"
    assert (link / "weights.bin").read_text() == "new"
    assert cli.main([*promoting, "--yes"]) == 1
    assert "serves already" in capsys.readouterr().err
    assert cli.main(["flywheel", "rollback", "coder", "--why", "it rambles", "--json"]) == 0
    assert last(capsys)["serves"] is None
    assert cli.main(["flywheel", "rollback", "coder"]) == 1
    assert "nothing is promoted" in capsys.readouterr().err
    history = [json.loads(line) for line in (link.parent / "history.jsonl").read_text().splitlines()]
    assert [(line["event"], line["why"]) for line in history] == [("promoted", "better"), ("rolled back", "it rambles")]


def test_what_is_not_better_does_not_serve(tmp_path: Path, candidate: str, capsys: pytest.CaptureFixture[str]) -> None:
    for right, verdict in ((120, "worse"), (200, "not worse")):
        old, new = answers(tmp_path / "old", 200), answers(tmp_path / "new", right)
        judging = ["flywheel", "evaluate", "coder", "--on", "bar", old, new, "--goal", "bar.call", "--json"]
        assert cli.main([*judging, "--candidate", candidate]) == 0
        found = last(capsys)
        assert found["verdict"] == verdict
        promoting = ["flywheel", "promote", "coder", found["candidate"], "--yes"]
        assert cli.main(promoting) == 1
        assert f"was found '{verdict}': it is not promoted" in capsys.readouterr().err
    assert cli.main([*promoting, "--accept", "not worse"]) == 0


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = answers(tmp_path / "good", 10), str(tmp_path / "bad")
    Path(bad).write_text("{}")
    judging = ["flywheel", "evaluate", "coder", "--on", "bar", good]
    for arguments, complaint in (
        ([*judging, bad, "--goal", "bar.call"], "not the answers"),
        ([*judging, good, "--goal", "other"], "there is no other; there are bar.call"),
        ([*judging, good, "--goal", "bar.call", "--candidate", str(tmp_path / "x")], "--candidate"),
        (["flywheel", "promote", "coder", "x"], "there is no candidate x; there are none"),
        (["flywheel", "rollback", "nobody"], "there is no expert 'nobody'"),
    ):
        assert cli.main(arguments) == 1
        assert complaint in capsys.readouterr().err
