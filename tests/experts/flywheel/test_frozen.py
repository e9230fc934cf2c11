"""A curated set is written whole, once, under its own digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experts.flywheel.curation import Wants, curate
from experts.flywheel.frozen import freeze, latest
from experts.flywheel.near_duplicates import Unseen
from tests.experts.flywheel.made import kept


def made(count: int):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return curate(map(kept, range(count)), "coder", Unseen(()), Wants(train=1, held_out=1, people=2))


def test_a_set_is_named_by_its_content_and_stays(tmp_path: Path) -> None:
    assert latest(tmp_path, "coder") is None
    first = freeze(made(20), tmp_path, "coder")
    again = freeze(made(20), tmp_path, "coder")
    assert first == again
    assert first.folder.name == made(20).digest != made(21).digest
    rows = [json.loads(line) for line in (first.folder / "train.jsonl").read_text().splitlines()]
    assert len(rows) == first.manifest["rows"]["train"]
    found = latest(tmp_path, "coder")
    assert found is not None and found.folder == first.folder
    assert latest(tmp_path, "advisor") is None


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", fail)
    with pytest.raises(OSError, match="No space"):
        freeze(made(20), tmp_path, "coder")
    assert list((tmp_path / "coder").iterdir()) == []
