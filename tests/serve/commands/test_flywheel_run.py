"""`moegate flywheel run`: a whole turn, as far as it may go; killed at every step it goes on where it was."""

from __future__ import annotations

import gc
import gzip
import itertools
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from experts.catalog.spec import load_catalog
from experts.flywheel.progress import write_progress
from experts.flywheel.registry import Registry, digest_of
from serve import cli
from serve.commands import flywheel_run, flywheel_steps
from serve.routing.trials import stamp_of
from serve.settings.flywheel_policy import load_policies
from serve.settings.tree import SettingsError
from tests.experts.flywheel.made import kept

SYSTEM_CALLS = ("write", "fsync", "replace", "rename", "symlink", "unlink", "open", "mkdir")
STORY = ["adopted", "shadow", "canary", "canary", "promoted"]


class Company:
    """A folder with everything that a turn needs, and commands that take no time in place of those that train."""

    def __init__(self, place: Path, *, right: float = 0.9) -> None:
        self.place = place
        self.right = right
        self.commands: list[str] = []
        (place / "shipped").mkdir(parents=True)
        (place / "shipped" / "weights.bin").write_text("shipped")
        entry: dict[str, Any] = {
            "description": "plays a part", "base": "some/where", "engine": "openvino", "context_window": 1000,
            "licence": "x", "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
        }  # fmt: skip
        experts = [
            {"name": "coder", "adapter": str(place / "shipped"), **entry},
            {"name": "coder-next", "canary_of": "coder", "adapter": "next", **entry},
        ]
        (place / "experts.yaml").write_text(yaml.safe_dump({"default": "coder", "experts": experts}))
        settings = {
            "experts": {"catalog": str(place / "experts.yaml")},
            "interactions": {"keys": ["*"], "target": str(place / "kept")},
            "feedback": {"path": str(place / "feedback.sqlite3")},
            "flywheel": {
                "folder": str(place / "flywheel"),
                "stages": [{"share": 0.1, "answers": 5}, {"share": 0.5, "answers": 5}],
                "shadow_answers": 50,
            },
        }
        (place / "gateway.yaml").write_text(yaml.safe_dump(settings))
        policy = {
            "canary": True,
            "promote": "better",
            "curate": {"train": 10, "held_out": 5, "people": 2, "unrated": True},
        }
        (place / "policy.yaml").write_text(yaml.safe_dump({"experts": {"coder": policy}}))

    @property
    def registry(self) -> Registry:
        return Registry(self.place / "flywheel" / "registry", "coder")

    @property
    def candidate(self) -> str:
        """The digest of what training makes."""
        made = self.place / "as-made"
        made.mkdir(exist_ok=True)
        (made / "weights.bin").write_text("new")
        (made / "ledger.json").write_text("{}")
        return digest_of(made)

    def has_traffic(self, *, has_shadows: bool = True) -> None:
        """Sixty answers, and what the candidate will have said to the same."""
        rows = [dict(kept(number, rating=None).record) for number in range(60)]
        shadows = [
            {
                **row,
                "timestamp": 2_000_000_000,
                "response": {**row["response"], "id": f"{row['response']['id']}-shadow", "usage": usage()},
                "moegate": {
                    "expert": "coder-next", "shadow_of": row["response"]["id"], "artifact": "a1", "error": "",
                    "cost_usd": 1e-6, "latency": {"ttft_s": 0.1}, "recalled": False,
                },
            }
            for row in rows
        ]  # fmt: skip
        for row in rows:
            row["moegate"] |= {"cost_usd": 1e-6, "latency": {"ttft_s": 0.1}, "decision": None}
            row["response"]["usage"] = usage()
        (self.place / "kept").mkdir(exist_ok=True)
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in [*rows, *(shadows if has_shadows else ())])
        (self.place / "kept" / "20260101T000000-h-1-00000000.jsonl.gz").write_bytes(gzip.compress(lines))

    def was_seen(self, *, wealth: float = 1.0) -> None:
        """The gateways have seen enough of the candidate at every stage."""
        spec = load_catalog(self.place / "experts.yaml").get("coder-next")
        assert spec is not None
        seen = {"stamp": stamp_of(spec, self.candidate), "answers": [(0.1, 9), (0.5, 9)], "wealth": {"error": wealth}}
        write_progress(self.place / "flywheel" / "trials" / "1.json", [seen])

    def carry_out(self, bench: Any, command: Sequence[str]) -> None:
        """Train or evaluate, in no time."""
        self.commands.append(command[2])
        given = dict(itertools.pairwise(command))
        if command[2] == "experts.finetune":
            folder = Path(given["--output"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weights.bin").write_text("new")
            (folder / "ledger.json").write_text("{}")
            return
        right = self.right if given["--variant"] == "candidate" else 0.5
        answers = [{"id": str(at), "verdict": {"like": float(at < 200 * right)}} for at in range(200)]
        Path(given["--answers"]).write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        Path(given["--out"]).write_text(json.dumps({"artifact": {"sha256": "a1"}, "measured": {}}))

    def run(self, *words: str) -> int:
        config = ["--config", str(self.place / "gateway.yaml"), "--policy", str(self.place / "policy.yaml")]
        return cli.main(["flywheel", "run", *words, *config, "--json"])


def usage() -> dict[str, int]:
    return {"completion_tokens": 5}


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    return set_up(tmp_path / "company", monkeypatch)


def set_up(place: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Company:
    made = Company(place, **how)
    monkeypatch.setattr(flywheel_steps, "_carry_out", made.carry_out)
    monkeypatch.setattr(flywheel_run, "_LOOK_S", 0.0)
    return made


def last(capsys: pytest.CaptureFixture[str]) -> Any:
    [stand] = json.loads(capsys.readouterr().out.splitlines()[-1])["experts"]
    return stand


def test_a_turn_goes_as_far_as_there_is_evidence(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    assert company.run() == 0
    assert last(capsys)["ended"].startswith("too little data: train 0 of 10")
    company.has_traffic(has_shadows=False)
    assert company.run() == 0
    stand = last(capsys)
    assert (stand["number"], stand["step"], stand["candidate"]) == (2, "shadow", company.candidate)
    assert stand["waits"] == "0 of 50 unseen answers"
    assert cli.main(["flywheel", "status", "--json", "--config", str(company.place / "gateway.yaml")]) == 0
    coder = json.loads(capsys.readouterr().out.splitlines()[-1])[0]
    assert (coder["trial"], coder["turn"]) == (f"{company.candidate}: shadow 10%", "2: shadow")
    company.has_traffic()
    company.run()
    company.was_seen()
    assert company.run("--patience", "30s") == 0
    stand = last(capsys)
    assert (stand["ended"], stand["promoted"]) == ("promoted", True)
    assert [change.event for change in company.registry.history()] == STORY
    assert cli.main(["flywheel", "status", "--json", "--config", str(company.place / "gateway.yaml")]) == 0
    coder = json.loads(capsys.readouterr().out.splitlines()[-1])[0]
    assert (coder["serves"], coder["trial"], coder["turn"]) == (company.candidate, None, "2: promoted")
    assert (company.registry.link / "weights.bin").read_text() == "new"
    assert company.commands.count("experts.finetune") == 1
    assert company.commands.count("experts.evaluate") == 2
    assert company.run() == 0
    stand = last(capsys)
    assert (stand["number"], stand["ended"]) == (3, "there is nothing new to learn from")


def test_what_is_not_better_is_tried_on_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, right in (("equal", 0.5), ("worse", 0.3)):
        company = set_up(tmp_path / name, monkeypatch, right=right)
        company.has_traffic()
        assert company.run() == 0
        assert last(capsys)["ended"].startswith("the candidate was found ")
        assert [change.event for change in company.registry.history()] == ["adopted"]


def test_a_human_is_asked_where_no_policy_says_otherwise(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    company.has_traffic()
    company.was_seen()
    content = yaml.safe_load((company.place / "policy.yaml").read_text())
    del content["experts"]["coder"]["canary"], content["experts"]["coder"]["promote"]
    (company.place / "policy.yaml").write_text(yaml.safe_dump(content))
    company.run("--patience", "30s")
    assert last(capsys)["waits"] == "a human: moegate flywheel canary coder"
    content["experts"]["coder"]["canary"] = True
    (company.place / "policy.yaml").write_text(yaml.safe_dump(content))
    company.run("--patience", "30s")
    assert last(capsys)["waits"] == f"a human: moegate flywheel promote coder {company.candidate}"
    company.run("--yes")
    assert last(capsys)["ended"] == "promoted"


def test_a_doubt_or_an_end_keeps_it_from_serving(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    company.has_traffic()
    company.was_seen(wealth=50.0)
    company.run()
    company.run()
    assert "there is a doubt of its answers (error: 50 to 1)" in last(capsys)["waits"]
    spec = load_catalog(company.place / "experts.yaml").get("coder-next")
    assert spec is not None
    ended = {"spec": stamp_of(spec, company.candidate), "kind": "error", "bad_of_canary": 5, "bad_of_incumbent": 0}
    (company.place / "flywheel" / "ended-trials.jsonl").write_text(json.dumps(ended) + "\n")
    company.run()
    assert last(capsys)["ended"] == "it is worse: error, 5 against 0"
    assert [change.event for change in company.registry.history()] == ["adopted", "shadow", "canary", "ended"]


def in_a_child(work: Callable[[], int], *, calls: int | None = None) -> int:
    """Do it in a forked child; with `calls`, it is killed at its so manieth system call that changes something."""
    child = os.fork()
    if child == 0:
        status = 99
        gc.disable()  # what other tests left behind may wait at its end for a thread that a child does not have
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            if calls is not None:
                _die_after(calls)
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_after(calls: int) -> None:
    left = [calls]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in SYSTEM_CALLS:
        setattr(os, name, dying(getattr(os, name)))


@pytest.mark.slow
def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half-promoted state, and the next run goes on: each line of the history is written once."""
    reached = set()
    for calls in range(400):
        company = set_up(tmp_path / str(calls), monkeypatch)
        company.has_traffic()
        company.was_seen()
        status = in_a_child(lambda: company.run("--patience", "60s"), calls=calls)  # noqa: B023  # called at once
        registry = company.registry
        events = [change.event for change in registry.history()]
        reached.add(len(events))
        assert events == STORY[: len(events)]
        serves = "new" if events == STORY else "shipped"
        if events:
            assert (registry.link / "weights.bin").read_text() == serves
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert in_a_child(lambda: company.run("--patience", "60s")) == 0  # noqa: B023
        assert [change.event for change in company.registry.history()] == STORY
        assert (company.registry.link / "weights.bin").read_text() == "new"
        turn = json.loads((company.place / "flywheel" / "turns" / "coder.json").read_text())
        assert (turn["number"], turn["ended"], turn["promoted"]) == (1, "promoted", True)
    assert status == 0, "it never got through"
    assert reached == set(range(len(STORY) + 1)), "it was killed before and after each line"


def test_policies_are_checked(tmp_path: Path) -> None:
    assert load_policies(None).of("coder").promote is None
    path = tmp_path / "policy.yaml"
    path.write_text(
        "default: {promote: better}\nexperts: {coder: {promote: null, bars: [{name: traffic, suite: a, data: b}]}}"
    )
    with pytest.raises(SettingsError, match="none is traffic"):
        load_policies(path)
    path.write_text("experts: {coder: {promot: better}}")
    with pytest.raises(SettingsError, match="promot"):
        load_policies(path)
    path.write_text("default: {promote: better}")
    assert load_policies(path).of("anybody").promote == "better"


def test_only_one_at_a_time(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    from experts.flywheel.turn import Turns

    with Turns(company.place / "flywheel" / "turns", "coder").alone():
        assert company.run() == 0
    assert "somebody else turns its wheel" in last(capsys)["waits"]


def test_it_goes_no_further_than_it_is_told(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """As a job in a cluster does, where a rollout brings new weights to the experts, and nobody is tried out."""
    company.has_traffic()
    content = yaml.safe_load((company.place / "experts.yaml").read_text())
    del content["experts"][1]
    (company.place / "experts.yaml").write_text(yaml.safe_dump(content))
    assert company.run() == 1
    assert "no expert has a canary's entry" in capsys.readouterr().err
    assert company.run("--until", "evaluate", "--yes") == 0
    stand = last(capsys)
    assert (stand["step"], stand["candidate"]) == ("shadow", company.candidate)
    assert stand["waits"] == "it was to go on until evaluate"
    assert [change.event for change in company.registry.history()] == ["adopted"]
