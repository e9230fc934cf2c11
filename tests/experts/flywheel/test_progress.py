"""What gateways have seen is added up over processes, and nothing of another candidate's is in it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from experts.flywheel.progress import clear_old, read_breach, read_progress, write_progress


def test_processes_add_up(tmp_path: Path) -> None:
    write_progress(
        tmp_path / "t" / "1.json", [{"stamp": "a", "answers": [(0.01, 3), (0.05, 4)], "wealth": {"error": 2.0}}]
    )
    write_progress(
        tmp_path / "t" / "2.json",
        [
            {"stamp": "a", "answers": [(0.05, 5)], "wealth": {"error": 1.0, "slow": 3.0}},
            {"stamp": "b", "answers": [(0.05, 500)], "wealth": {"error": 99.0}},
        ],
    )
    (tmp_path / "t" / "3.json").write_text("{")
    seen = read_progress(tmp_path / "t", "a")
    assert seen.answers == {0.01: 3, 0.05: 9}
    assert seen.doubt == ("slow", 3.0)
    assert read_progress(tmp_path / "t", "c").answers == {}
    assert read_progress(tmp_path / "nowhere", "a").doubt == ("", 0.0)


def test_files_of_a_month_ago_go(tmp_path: Path) -> None:
    for name, age_s in (("old", 40 * 86400), ("new", 60)):
        write_progress(tmp_path / f"{name}.json", [])
        then = time.time() - age_s
        os.utime(tmp_path / f"{name}.json", (then, then))
    clear_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_why_a_trial_was_ended(tmp_path: Path) -> None:
    path = tmp_path / "ended-trials.jsonl"
    assert read_breach(path, "a") == ""
    line = {"spec": "a", "kind": "form", "bad_of_canary": 9, "bad_of_incumbent": 1}
    path.write_text(f"not JSON\n{{}}\n{json.dumps(line)}\n")
    assert read_breach(path, "a") == "form, 9 against 1"
    assert read_breach(path, "b") == ""
