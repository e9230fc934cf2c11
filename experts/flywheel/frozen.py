"""Curated sets on a disk: a folder for each, named by its digest, written whole or not at all, and never changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from experts.flywheel.curation import Curated

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class FrozenSet:
    """One set: its folder, and what its manifest says."""

    folder: Path
    manifest: Mapping[str, Any]


def freeze(curated: Curated, folder: Path, expert: str) -> FrozenSet:
    """Write a set below `folder/EXPERT/DIGEST`; one that is there already stays as it is.

    Raises:
        OSError: it cannot be written; nothing of it is there.
    """
    place = folder / expert / curated.digest
    if not (place / MANIFEST).exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            for name, rows in curated.files.items():
                lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
                (draft / f"{name}.jsonl").write_text(lines, encoding="utf-8")
            made = {"expert": expert, "at": datetime.now(UTC).isoformat(timespec="seconds"), **curated.as_dict()}
            (draft / MANIFEST).write_text(json.dumps(made, indent=1), encoding="utf-8")
            os.rename(draft, place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return FrozenSet(place, manifest_of(place))


def latest(folder: Path, expert: str) -> FrozenSet | None:
    """The expert's newest set; None where there is none."""
    found = [
        FrozenSet(path.parent, manifest_of(path.parent))
        for path in (folder / expert).glob(f"*/{MANIFEST}")
        if not path.parent.name.startswith(".")
    ]
    return max(found, key=lambda one: str(one.manifest["at"]), default=None)


def manifest_of(place: Path) -> dict[str, Any]:
    """Read a set's manifest."""
    content: dict[str, Any] = json.loads((place / MANIFEST).read_text("utf-8"))
    return content
