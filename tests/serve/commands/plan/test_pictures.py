"""The pictures of a plan."""

from pathlib import Path

import pytest

from serve.commands.plan.alternatives import compare
from serve.commands.plan.command import _explained
from serve.commands.plan.description import Plan, PlanError
from serve.commands.plan.pictures import ALTERNATIVES, draw
from serve.commands.plan.report import simulate
from tests.serve.commands.plan.plans import plan

pytest.importorskip("matplotlib", reason="pictures need matplotlib")


@pytest.fixture
def described() -> Plan:
    api = {"usd_per_million": {"prompt": 0.7, "completion": 0.7}, "source": "a price list"}
    measured = {"score": 0.71, "ci95": [0.67, 0.75], "n": 500, "source": "a test"}
    made = plan(traffic={"requests_per_s": 1, "hours": 0.05}).model_dump(mode="json", exclude_none=True)
    return Plan.model_validate({**made, "alternatives": {"an API": {"api": api}}, "quality": measured})


def test_a_picture_of_each_day_and_one_of_all(described: Plan, tmp_path: Path) -> None:
    results = compare(described)
    paths = draw(results, tmp_path / "new")
    assert [path.name for path in paths] == ["experts.png", ALTERNATIVES]  # an API has no day to draw
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert draw(results, tmp_path / "new") == paths  # ours to replace


def test_one_result_alone_is_beside_nothing(tmp_path: Path) -> None:
    one = simulate(plan(traffic={"requests_per_s": 1, "hours": 0.05}), "mine")
    assert [path.name for path in draw([one], tmp_path)] == ["mine.png"]


def test_what_is_not_ours_stays(described: Plan, tmp_path: Path) -> None:
    (tmp_path / ALTERNATIVES).write_bytes(b"mine")
    with pytest.raises(PlanError, match=ALTERNATIVES):
        draw(compare(described), tmp_path)
    assert (tmp_path / ALTERNATIVES).read_bytes() == b"mine"
    assert not (tmp_path / "experts.png").exists()


def test_what_nobody_measured_is_said(described: Plan) -> None:
    lines = list(_explained(described, compare(described)))
    assert "quality of experts: n 500; a test" in lines
    assert any(
        line.startswith("quality: nobody has measured it for an API: python -m experts.evaluate") for line in lines
    )
