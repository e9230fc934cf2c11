import gc
import json
import os
from pathlib import Path

import pytest

from router.evaluation.latency import drawn, hostile, main
from router.features.featurize import RouteQuery, Turn
from router.router import Router
from router.training.dataset import Row


@pytest.fixture(autouse=True)
def cores() -> object:
    """Give the process back the cores it had, and its garbage."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)
    gc.unfreeze()


def test_every_source_is_drawn_as_often_and_the_same_every_time() -> None:
    one, other = (RouteQuery((Turn("user", text),)) for text in ("one", "other"))
    rows = [Row("many", one, ("x",))] * 99 + [Row("few", other, ("x",))]
    first, again = drawn(rows, 7), drawn(rows, 7)
    asked = [next(first) for _ in range(2_000)]
    assert asked == [next(again) for _ in range(2_000)]
    assert 0.45 < sum(query is other for query in asked) / 2_000 < 0.55


def test_what_is_made_to_hurt_is_large_and_routed() -> None:
    inputs = hostile()
    assert inputs == hostile() and len(inputs["1 MB of words"]) >= 1_000_000 and len(inputs) == 20
    router = Router.load()
    for text in inputs.values():
        assert router.gate.by_expert(RouteQuery((Turn("user", text),)))


def test_the_command_pins_a_core_and_times(data_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data_file), "--draws", "50", "--json"]) == 0
    assert len(os.sched_getaffinity(0)) == 1
    line = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert line["n"] == 50 and 0 < line["ms"]["p50"] <= line["ms"]["p99"] <= line["ms"]["max"]
    assert set(line["hostile_max_ms"]) == set(hostile())


def test_no_draws_are_refused(data_file: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(data_file), "--draws", "0"])
