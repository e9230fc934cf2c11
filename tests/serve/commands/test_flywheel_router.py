"""`moegate flywheel router`: refit on who should have answered; judged on labelled rows and on traffic; promoted."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experts.flywheel.verdict import Verdict
from router.evaluation.gap import Figure
from router.evaluation.offpolicy import Estimate
from router.model.artifact import DEFAULT_PATH, load, save
from router.router import Router
from router.training.dataset import read_rows
from serve import cli
from serve.commands.flywheel_router import FILE, Traffic, judged

ASKS = {
    "coder": "Write a Python function that sorts list number {}.",
    "advisor": "Write a warm birthday letter to my aunt, version {}.",
}


def gold(path: Path, *, wrong: int = 0) -> Path:
    """Rows that the router that ships decides rightly; the first few labelled otherwise."""
    rows = [
        {"source": "own", "messages": [{"role": "user", "content": text.format(number)}], "label": label}
        for label, text in ASKS.items()
        for number in range(60)
    ]
    for row in rows[:wrong]:
        row["label"] = "researcher"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def place(tmp_path: Path, catalog_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A curated set that says who should have answered, and settings; a trainer that copies what ships."""
    for name, value in {
        "FLYWHEEL__FOLDER": tmp_path / "flywheel",
        "EXPERTS__CATALOG": catalog_file,
        "INTERACTIONS__TARGET": tmp_path / "kept",
        "FEEDBACK__PATH": tmp_path / "feedback.sqlite3",
    }.items():
        monkeypatch.setenv(f"MOEGATE_{name}", str(value))
    trainer = tmp_path / "python"
    trainer.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nasked = sys.argv[1:]\n"
        f"open({str(tmp_path / 'asked')!r}, 'w').write(' '.join(asked))\n"
        f"shutil.copy({str(DEFAULT_PATH)!r}, asked[asked.index('--out') + 1])\n"
    )
    trainer.chmod(trainer.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def curated(place: Path, count: int) -> None:
    folder = place / "flywheel" / "curated" / "coder" / "d1"
    folder.mkdir(parents=True)
    rows = [
        {"source": "traffic", "messages": [{"role": "user", "content": f"Sort {at}"}], "label": "coder"}
        for at in range(count)
    ]
    (folder / "router.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "manifest.json").write_text(json.dumps({"at": "2026", "digest": "d1"}))


def run(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    asked = ["flywheel", "router", "--gold", str(gold(place / "gold.jsonl")), "--python", str(place / "python")]
    status = cli.main([*asked, "--json", *words])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1]) if status == 0 else err


def test_too_few_say_who_should_have_answered(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curated(place, 49)
    status, said = run(place, capsys)
    assert (status, said["verdict"], said["rows"]) == (0, "too little data", 49)
    assert not (place / "asked").exists()


def test_it_decides_only_where_both_judges_let_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curated(place, 60)
    status, said = run(place, capsys, "--yes")
    assert status == 0, said
    assert (status, said["promoted"], said["traffic"]["verdict"]) == (0, False, "too little data")
    assert said["judgement"]["verdict"] in ("not worse", "no headroom")
    words = (place / "asked").read_text().split()
    seeds = Path(words[words.index("--seeds") + 1])
    assert len((seeds / "traffic.jsonl").read_text().splitlines()) == 60
    assert len(list(seeds.glob("*.jsonl"))) > 10, "the seeds that ship are learned, too"
    (place / "asked").unlink()
    registry = place / "flywheel" / "router" / "router"
    assert Router.load(registry / "current" / FILE).version == Router.load(DEFAULT_PATH).version
    status, said = run(place, capsys, "--gold-alone")
    assert status == 0, "the same bytes decide already"
    assert not (place / "asked").exists(), "these rows have made one already"
    assert said["promoted"] is False


def changed(place: Path) -> None:
    """Have the trainer make a router of other bytes that decides as the one that ships."""
    save(replace(load(DEFAULT_PATH), abstain_below=load(DEFAULT_PATH).abstain_below + 1e-6), place / "made.npz")
    trainer = place / "python"
    trainer.write_text(trainer.read_text().replace(str(DEFAULT_PATH), str(place / "made.npz")))


def test_a_good_one_decides_beside_first_where_gateways_follow_the_registry(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    curated(place, 60)
    changed(place)
    status, said = run(place, capsys, "--gold-alone")
    assert status == 1
    link = place / "flywheel" / "router" / "router" / "current" / FILE
    assert f"router.artifact: gateways try a router out only where it is {link}" in said
    monkeypatch.setenv("MOEGATE_ROUTER__ARTIFACT", str(link))
    status, said = run(place, capsys, "--gold-alone")
    assert (status, said["promoted"], said["trial"]) == (0, False, "shadow")
    history = (place / "flywheel" / "router" / "router" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in history] == ["adopted", "shadow"]


def test_or_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curated(place, 60)
    changed(place)
    status, said = run(place, capsys, "--gold-alone", "--at-once", "--yes")
    assert (status, said["promoted"]) == (0, True)
    link = place / "flywheel" / "router" / "router" / "current" / FILE
    assert Router.load(link).version == Router.load(place / "made.npz").version


def test_one_that_is_worse_on_gold_does_not_decide(tmp_path: Path) -> None:
    good, bad = read_rows([gold(tmp_path / "good")]), read_rows([gold(tmp_path / "bad", wrong=60)])
    same = judged(DEFAULT_PATH, DEFAULT_PATH, good)
    assert same.findings[0].incumbent > 0.9
    assert judged(DEFAULT_PATH, DEFAULT_PATH, bad).findings[0].incumbent < 0.6, "a label counts"


def estimate(*, effective: float, low: float, high: float) -> Estimate:
    found = Figure((low + high) / 2, low, high)
    return Estimate(found, found, found, Figure(0.5, 0.4, 0.6), effective, 1000, 0)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, Verdict.TOO_LITTLE_DATA),
        (estimate(effective=99, low=0.8, high=0.9), Verdict.TOO_LITTLE_DATA),
        (estimate(effective=500, low=0.6, high=0.9), Verdict.BETTER),
        (estimate(effective=500, low=0.4, high=0.9), Verdict.NOT_WORSE),
        (estimate(effective=500, low=0.2, high=0.4), Verdict.WORSE),
    ],
)
def test_what_traffic_says(found: Estimate | None, verdict: Verdict) -> None:
    assert Traffic(found, 100.0).verdict is verdict
