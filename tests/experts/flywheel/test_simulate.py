"""The gate as a whole: what is worse does not get through, what is better does."""

from __future__ import annotations

import json

import pytest

from experts.flywheel import simulate
from experts.flywheel.simulate import CANDIDATES, run


def test_the_gate() -> None:
    promoted = {name: sum(run(one, 1200, seed).is_promoted for seed in range(40)) for name, one in CANDIDATES.items()}
    assert promoted["worse by 3 points"] == promoted["worse by 10 points"] == 0
    assert promoted["equal"] <= 4
    assert promoted["better by 10 points"] >= 33
    assert promoted["sabotaged: every answer fails"] == promoted["better, five times the errors"] == 0


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--runs", "3", "--rows", "300", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["candidates"].keys() == CANDIDATES.keys()
