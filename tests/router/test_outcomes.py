import json
from pathlib import Path

import numpy as np
import pytest

from router.errors import DatasetError
from router.outcomes import Outcomes, apgr, read


def outcomes(weak: list[int], strong: list[int]) -> Outcomes:
    return Outcomes(tuple(map(str, range(len(weak)))), np.array(weak, float), np.array(strong, float), None)


def test_a_constant_score_is_random_and_the_oracle_is_above_one() -> None:
    data = outcomes([0, 1, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1])
    assert apgr(np.zeros(6), data) == pytest.approx(0.5)
    assert apgr(data.strong - data.weak, data) > 1.0
    assert apgr(data.weak - data.strong, data) < 0.0


def test_apgr_by_hand() -> None:
    data = outcomes([0, 1, 1, 1], [1, 1, 1, 1])
    assert apgr(np.array([4.0, 3.0, 2.0, 1.0]), data) == pytest.approx(0.875)  # one gain, recovered by the first call
    assert apgr(np.array([1.0, 2.0, 3.0, 4.0]), data) == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("row", "count", "message"),
    [
        ({"prompt": "x", "weak": 0}, 60, "needs"),
        ({"prompt": "x", "weak": 0, "strong": 1}, 9, "too few"),
        ({"prompt": "x", "weak": 1, "strong": 1}, 60, "not better"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, row: dict[str, object], count: int, message: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text((json.dumps(row) + "\n") * count)
    with pytest.raises(DatasetError, match=message):
        read(path)
