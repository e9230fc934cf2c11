"""`moegate flywheel curate` and `status`, on what a gateway has really kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serve import cli
from serve.app import App
from serve.settings.interactions import InteractionsSettings
from serve.settings.tree import FeedbackSettings, Settings


async def traffic(app: App, count: int) -> None:
    """Users ask and rate: one in four answers is disliked."""
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        for number in range(count):
            words = " ".join(f"w{number}x{place}" for place in range(6))
            body = {"model": "coder", "user": f"u{number % 6}", "messages": [{"role": "user", "content": words}]}
            answer = (await http.post("/v1/chat/completions", json=body)).json()
            rating = -1 if number % 4 == 0 else 1
            await http.post("/v1/feedback", json={"response_id": answer["id"], "rating": rating})


@pytest.fixture
def environment(tmp_path: Path, catalog_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "INTERACTIONS__TARGET": tmp_path / "kept",
        "FEEDBACK__PATH": tmp_path / "feedback.sqlite3",
        "FLYWHEEL__FOLDER": tmp_path / "flywheel",
        "EXPERTS__CATALOG": catalog_file,
    }.items():
        monkeypatch.setenv(f"MOEGATE_{name}", str(value))


def last(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.usefixtures("environment")
async def test_traffic_becomes_a_set(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = InteractionsSettings(keys=("*",), target=str(tmp_path / "kept"), flush_s=0.02)
    feedback = FeedbackSettings(path=tmp_path / "feedback.sqlite3")
    app = App(settings.model_copy(update={"interactions": kept, "feedback": feedback}))
    await app.start()
    await traffic(app, 40)
    await app.stop()
    curate = ["flywheel", "curate", "coder", "--json"]
    assert cli.main(curate) == 0
    said = capsys.readouterr().out
    facts = json.loads(said.splitlines()[-1])
    assert facts["verdict"] == "too little data"
    assert facts["missing"]["train"]["need"] == 200
    assert "too little: train: there are" in said
    assert not (tmp_path / "flywheel").exists()
    assert cli.main([*curate, "--least-train", "10", "--least-held-out", "3"]) == 0
    facts = last(capsys)
    assert facts["rows"]["train"] + facts["rows"]["held_out"] == 30
    assert facts["left_out"] == {"disliked": 10}
    assert (Path(facts["folder"]) / "manifest.json").is_file()
    assert cli.main(["flywheel", "status", "--json"]) == 0
    row = next(row for row in last(capsys) if row["expert"] == "coder")
    assert row == {
        "expert": "coder",
        "kept": 40,
        "rated": 40,
        "liked": 30,
        "people": 6,
        "curated": facts["digest"],
        "serves": None,
        "trial": None,
        "turn": None,
    }


@pytest.mark.usefixtures("environment")
def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flywheel", "curate", "nobody"]) == 1
    assert "there is no expert 'nobody'; there are researcher" in capsys.readouterr().err
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{")
    assert cli.main(["flywheel", "curate", "coder", "--held-out", str(bad)]) == 1
    assert "bad.jsonl: not JSON lines" in capsys.readouterr().err
