import json
import random
from pathlib import Path

import pytest

from router.errors import DatasetError
from router.evaluation.offpolicy import estimate, logged, main, read_log
from router.policy.explore import propensities

NAMES = ["a", "b", "c"]
WORTH = {"easy": {"a": 0.9, "b": 0.5, "c": 0.1}, "hard": {"a": 0.2, "b": 0.4, "c": 0.8}}
TRUTH = (0.9 + 0.8) / 2  # of the policy that answers easy by a, hard by c


def simulate(path: Path, rows: int, epsilon: float, seed: int) -> None:
    """A log of a policy that always prefers b, exploring; the target knows better."""
    generator = random.Random(seed)
    lines = []
    for _ in range(rows):
        kind = generator.choice(["easy", "hard"])
        chances = propensities("b", NAMES, epsilon)
        expert = generator.choices(NAMES, weights=[chances[name] for name in NAMES])[0]
        reward = float(generator.random() < WORTH[kind][expert])
        target = {"easy": "a", "hard": "c"}[kind]
        lines.append({"expert": expert, "propensity": chances[expert], "reward": reward, "target": target})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_truth_is_inside_the_interval(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    inside = 0
    for seed in range(20):
        simulate(path, 3_000, epsilon=0.3, seed=seed)
        found = estimate(read_log([path]), seed=0)
        assert abs(found.snips.value - TRUTH) < 0.1
        inside += found.snips.low <= TRUTH <= found.snips.high
        assert found.logged.value == pytest.approx(0.45, abs=0.05)
        assert 100 < found.effective < 600
    assert inside >= 16  # 95 % intervals: sixteen or more of twenty with probability .997


def test_rows_that_were_drawn_together_count_together() -> None:
    """Ten turns of a conversation are not ten conversations: the interval is as wide as that of one row each."""
    apart = [{"expert": "a", "propensity": 0.5, "reward": float(at % 3 == 0), "target": "a"} for at in range(60)]
    together = [row | {"conversation": str(at)} for at, row in enumerate(apart) for _ in range(10)]
    unknown = [{key: value for key, value in row.items() if key != "conversation"} for row in together]
    width = {
        name: estimate(logged(rows), seed=0).snips
        for name, rows in (("apart", apart), ("together", together), ("unknown", unknown))
    }
    spans = {name: figure.high - figure.low for name, figure in width.items()}
    assert spans["together"] == pytest.approx(spans["apart"], rel=0.1)
    assert spans["unknown"] < spans["together"] / 2


def test_doubly_robust_is_steadier_where_the_expert_says_it_all() -> None:
    generator = random.Random(4)
    chances, worth = {"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.7}
    drawn = generator.choices("ab", weights=(0.9, 0.1), k=500)
    rows = [{"expert": one, "propensity": chances[one], "reward": worth[one], "target": "b"} for one in drawn]
    found = estimate(logged(rows), seed=0)
    assert found.doubly_robust.value == pytest.approx(0.7)
    assert found.doubly_robust.high - found.doubly_robust.low < 1e-6 < found.ips.high - found.ips.low


def test_a_policy_that_is_the_logging_one_earns_what_was_logged(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [{"expert": "a", "propensity": 1.0, "reward": at % 2, "target": {"a": 1.0}} for at in range(100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = estimate(read_log([path]), seed=0)
    assert found.ips.value == found.snips.value == found.logged.value == 0.5
    assert found.effective == pytest.approx(100)


def test_what_nobody_drew_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    row = {"expert": "a", "propensity": 0.5, "reward": 1, "target": "a"}
    extras: list[dict[str, str]] = [{}, {"reason": "pinned"}, {"reason": "fallback"}, {"reason": "handed_back"}]
    path.write_text("".join(json.dumps(row | extra) + "\n" for extra in extras))
    log = read_log([path])
    assert (len(log.reward), log.skipped) == (1, 3)


@pytest.mark.parametrize(
    "change", [{"propensity": 0}, {"propensity": 1.5}, {"target": 3}, {"target": {"a": 2}}, {"reward": None}]
)
def test_rows_that_cannot_be_weighed_are_named(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"expert": "a", "propensity": 0.5, "reward": 1, "target": "a"} | change))
    with pytest.raises(DatasetError, match=r"log.jsonl:1"):
        read_log([path])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.jsonl"
    simulate(path, 2_000, epsilon=0.5, seed=3)
    assert main(["--log", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert found.keys() == {"ips", "snips", "doubly_robust", "logged", "effective", "n", "skipped"}
    assert found["n"] == 2_000 and abs(found["snips"]["value"] - TRUTH) < 0.1
