"""The history's lines say what serves, who is on trial, and what a canary's replicas load."""

from __future__ import annotations

from pathlib import Path

from experts.flywheel.history import Change, last_stage, next_up, on_trial, read_history, serving


def line(event: str, digest: str | None, share: float = 0.0) -> Change:
    return Change(event, digest, "2026-11-29T10:00:00.000+00:00", "jo", "", share)


STORY = [
    line("adopted", "old"),
    line("shadow", "new", 0.1),
    line("canary", "new", 0.01),
    line("promoted", "new"),
    line("rolled back", "old"),
]


def test_each_line_changes_one_thing() -> None:
    assert [serving(STORY[:at]) for at in range(6)] == [None, "old", "old", "old", "new", "old"]
    assert [next_up(STORY[:at]) for at in range(6)] == [None, "old", "new", "new", "new", "new"]
    trials = [on_trial(STORY[:at]) for at in range(6)]
    assert [None if one is None else (one.event, one.share) for one in trials] == [
        None, None, ("shadow", 0.1), ("canary", 0.01), None, None,
    ]  # fmt: skip
    stages = [last_stage(STORY[:at]) for at in range(6)]
    assert [None if one is None else one.event for one in stages] == [
        None, None, "shadow", "canary", "promoted", "rolled back",
    ]  # fmt: skip


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    path.write_bytes(
        b'{"event": "promoted", "digest": "d", "at": "2026", "by": "jo", "why": ""}\n'
        + line("canary", "e", 0.05).line
        + b'{"event": "cut'
    )
    assert [(change.digest, change.share) for change in read_history(path)] == [("d", 0.0), ("e", 0.05)]
