import json
from pathlib import Path

import numpy as np
import pytest

from router.evaluate import main
from router.evaluation.figures import Judged, confusion_matrix, reliability_bins, risk_by_coverage


def test_bins_hold_every_row_once() -> None:
    confidence, right = np.array([0.05, 0.06, 0.95, 1.0]), np.array([False, True, True, True])
    bins = reliability_bins(confidence, right)
    assert [count for _, _, count in bins] == [2, 2]
    assert [share for _, share, _ in bins] == [0.5, 1.0]


def test_the_surest_rows_are_answered_first() -> None:
    coverage, risk = risk_by_coverage(np.array([0.2, 0.9, 0.5]), np.array([False, True, False]))
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert risk.tolist() == pytest.approx([0.0, 0.5, 2 / 3])


def test_any_acceptable_expert_counts_as_the_best() -> None:
    judged = Judged(
        ("a", "b", "b"), (("a",), ("a", "b"), ("a",)), np.array([1.0, 1.0, 1.0]), np.array([True, True, False])
    )
    assert confusion_matrix(judged, ["a", "b"]).tolist() == [[pytest.approx(2 / 3), pytest.approx(1 / 3)], [0.0, 0.0]]


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 5_000


def test_the_report_of_labelled_rows(data_file: Path, artifact_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need the extra [dev] or [train]")
    folder = tmp_path / "report"
    assert main(["--data", str(data_file), "--artifact", str(artifact_file), "--report", str(folder)]) == 0
    names = {path.name for path in folder.iterdir() if is_png(path)}
    assert names == {"reliability.png", "confusion.png", "risk_coverage.png", "cost_quality.png"}


def test_the_report_of_outcomes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need the extra [dev] or [train]")
    path, folder = tmp_path / "outcomes.jsonl", tmp_path / "report"
    rows = [
        {"prompt": f"{'hard' if at % 3 else 'easy'} {at % 7}", "weak": at % 3 == 0, "strong": 1} for at in range(90)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--outcomes", str(path), "--report", str(folder)]) == 0
    assert is_png(folder / "outcomes.png")
    found = json.loads((folder / "outcomes.json").read_text())
    assert found["by_tokens"].keys() == {"this predictor", "random", "prompt length", "oracle"}
