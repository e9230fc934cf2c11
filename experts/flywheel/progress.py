"""What each gateway has seen of candidates on trial: a small file of each process, in one folder, replaced whole.

Gateways write (`serve.routing.trials`), `moegate flywheel canary` reads and adds them up. A process that is gone leaves
its file: what it has seen has been seen.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from experts.flywheel.stages import Seen

_KEPT_S: Final = 30 * 86400.0


def write_progress(path: Path, trials: Iterable[Mapping[str, Any]]) -> None:
    """Replace a process's file.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps({"trials": list(trials)}), encoding="utf-8")
    os.replace(draft, path)


def clear_old(folder: Path) -> None:
    """Delete files that no process has written to for a month."""
    for path in folder.glob("*.json"):
        try:
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()
        except OSError:
            continue


def read_progress(folder: Path, stamp: str) -> Seen:
    """Add up what all processes have seen of a candidate; a file that cannot be read counts for nothing."""
    answers: Counter[float] = Counter()
    wealth: dict[str, float] = {}
    for path in folder.glob("*.json"):
        for trial in _trials(path):
            if trial.get("stamp") == stamp:
                answers.update({float(share): int(count) for share, count in trial["answers"]})
                for kind, value in trial["wealth"].items():
                    wealth[kind] = max(wealth.get(kind, 0.0), float(value))
    return Seen(answers, wealth)


def read_compared(folder: Path, stamp: str) -> Counter[str]:
    """Add up how a router's candidate has decided beside the one that serves: `same`, `other` or `failed`."""
    found: Counter[str] = Counter()
    for path in folder.glob("*.json"):
        for trial in _trials(path):
            if trial.get("stamp") == stamp:
                found.update({str(name): int(count) for name, count in trial.get("compared", {}).items()})
    return found


def read_breach(path: Path, stamp: str) -> str:
    """Say why a trial was ended, out of the file of ended trials; empty where it was not."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return ""
    for line in lines:
        try:
            ended = json.loads(line)
            if ended["spec"] == stamp:
                return f"{ended['kind']}, {ended['bad_of_canary']} against {ended['bad_of_incumbent']}"
        except (ValueError, KeyError, TypeError):
            continue
    return ""


def _trials(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text("utf-8"))["trials"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
