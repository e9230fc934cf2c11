"""The picture of a selection: a panel a task, marked as ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from experts.evaluation.options_figure import draw
from tests.experts.evaluation.results import BASE

pytestmark = pytest.mark.filterwarnings("ignore")  # matplotlib's own
ADAPTER = replace(BASE, variant="adapter", quality=0.6, low=0.5, high=0.7, size_mb=None)
OTHER_TASK = replace(BASE, suite="chat", score="target")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.info["Software"] == "moegate"
        return picture.size


def test_every_task_of_an_expert_has_a_panel(tmp_path: Path) -> None:
    draw([BASE, ADAPTER], tmp_path / "one.png")
    draw([BASE, ADAPTER, OTHER_TASK], tmp_path / "two.png")
    (one_wide, high), (two_wide, same_high) = size(tmp_path / "one.png"), size(tmp_path / "two.png")
    assert (two_wide, same_high) == (2 * one_wide, high)


def test_what_nothing_beats_looks_different(tmp_path: Path) -> None:
    """The same two points; only in the first picture is one of them beaten."""
    worse = replace(ADAPTER, quality=0.2, low=0.2, high=0.2, usd_per_1000=2 * BASE.usd_per_1000)
    draw([BASE, worse], tmp_path / "beaten.png")
    draw([BASE, replace(worse, ttft_ms=1.0)], tmp_path / "both.png")  # the picture does not show how fast they are
    assert (tmp_path / "beaten.png").read_bytes() != (tmp_path / "both.png").read_bytes()
    draw([BASE, worse], tmp_path / "again.png")
    assert (tmp_path / "beaten.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        draw([BASE], tmp_path / "none" / "x.png")
