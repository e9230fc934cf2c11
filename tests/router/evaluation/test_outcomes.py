import json
from pathlib import Path

import numpy as np
import pytest

from router.errors import DatasetError
from router.evaluation.outcomes import OURS, Outcomes, apgr, evaluate, read, transfer


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


def made(seed: int, subjects: list[str], hard: str) -> Outcomes:
    """Prompts of which those with a hard word need the strong model; the subject says nothing."""
    generator = np.random.default_rng(seed)
    texts, weak = [], []
    for at in range(400):
        is_hard = bool(generator.random() < 0.5)
        texts.append(f"{subjects[at % len(subjects)]} question {at % 13}: {hard if is_hard else 'name the colour'}")
        weak.append(float(generator.random() < (0.2 if is_hard else 0.95)))
    categories = tuple(subjects[at % len(subjects)] for at in range(400))
    return Outcomes(tuple(texts), np.array(weak), np.ones(400), categories)


def test_within_a_benchmark_words_beat_the_category() -> None:
    found = evaluate(made(1, ["law", "art"], "prove the lemma"), seed=0)
    assert found.by_calls[OURS][0].low > 0.65
    assert found.by_calls["category mean"][0].value < 0.6
    assert found.by_calls["random"][0].value == pytest.approx(0.5, abs=0.08)
    assert all(figure.low <= figure.value <= figure.high for figure in found.by_tokens[OURS])


def test_what_was_learnt_carries_over_to_another_benchmark_that_shares_it() -> None:
    shared = transfer(made(1, ["law", "art"], "prove the lemma"), made(2, ["bees", "tax"], "prove the lemma"), seed=0)
    assert shared.by_calls[OURS][0].low > 0.65
    assert "category mean" not in shared.by_calls
    assert shared.as_dict().keys() == {"n", "apgr", "cpt50", "cpt80", "baselines"}


def test_no_row_is_judged_by_itself() -> None:
    """Outcomes that nothing foretells are not foretold."""
    generator = np.random.default_rng(0)
    weak = (generator.random(600) < 0.5).astype(float)
    data = Outcomes(tuple(f"prompt number {at}" for at in range(600)), weak, np.ones(600), None)
    assert evaluate(data, seed=0).by_calls[OURS][0].value < 0.57
