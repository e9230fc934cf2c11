from typing import Any

import numpy as np
import pytest

from router.features.featurize import BUCKETS, DENSE_NAMES, Features, featurize_turn
from router.training.dataset import Row
from router.training.heads import Head, design_matrix, featurize_all, fit_head

TEXTS = ["fix my python loop", "fix the loop in rust", "write a poem on rain", "a poem for my aunt", "loop the loop"]


@pytest.fixture(scope="module")
def features() -> list[Features]:
    return [featurize_turn(text) for text in TEXTS]


@pytest.fixture(scope="module")
def matrix(features: list[Features]) -> Any:
    return design_matrix(features)


def test_a_row_of_the_matrix_is_the_features_of_its_text(features: list[Features], matrix: Any) -> None:
    assert matrix.shape == (len(TEXTS), BUCKETS + len(DENSE_NAMES))
    for at, one in enumerate(features):
        hashed = np.bincount(one.indices, weights=one.values, minlength=BUCKETS)
        dense = matrix[at].toarray()[0]
        assert np.allclose(dense[:BUCKETS], hashed)
        assert np.allclose(dense[BUCKETS:], one.dense)


def test_extra_columns_stand_behind_all_others(features: list[Features], matrix: Any) -> None:
    wider = design_matrix(features, extra=[[at, -1.0] for at in range(len(TEXTS))])
    assert wider.shape[1] == matrix.shape[1] + 2
    assert wider[:, -2].toarray().ravel().tolist() == [0, 1, 2, 3, 4]
    assert (wider[:, :-2] != matrix).nnz == 0


def test_a_head_answers_alone_as_it_answers_together(features: list[Features], matrix: Any) -> None:
    target = np.array(["loop" in text for text in TEXTS])
    head = fit_head(matrix, target, np.ones(len(TEXTS)), strength=10.0, seed=0)
    together = head.logits(matrix)
    assert [head.logit(one) for one in features] == pytest.approx(together, abs=1e-6)
    assert together[target].min() > 0 > together[~target].max()
    assert [head.leaning(one) for one in features] == pytest.approx(1 / (1 + np.exp(-together)))


def test_weights_move_the_head(matrix: Any) -> None:
    """The same rows, once saying yes for the most part by weight, once no."""
    doubtful, target = matrix[[0, 0]], np.array([True, False])
    yes, no = (fit_head(doubtful, target, np.array(w), strength=10.0, seed=0) for w in ([9.0, 1.0], [1.0, 9.0]))
    assert yes.logits(doubtful)[0] > 0 > no.logits(doubtful)[0]


@pytest.mark.parametrize("answer", [True, False])
def test_a_target_that_never_changes_is_answered_without_words(
    features: list[Features], matrix: Any, answer: bool
) -> None:
    head = fit_head(matrix, np.full(len(TEXTS), answer), np.ones(len(TEXTS)), strength=1.0, seed=0)
    assert not head.hashed.any()
    assert {round(head.leaning(one), 6) for one in features} == {0.982014 if answer else 0.017986}


def test_never_is_never(features: list[Features]) -> None:
    assert all(Head.never().leaning(one) < 1e-6 for one in features)


def test_many_rows_are_read_as_each_alone(rows: list[Row]) -> None:
    some = rows[:5]
    for all_of_them, row in zip(featurize_all(some), some, strict=True):
        alone = featurize_all([row])[0]
        assert np.array_equal(all_of_them.indices, alone.indices)
        assert np.array_equal(all_of_them.dense, alone.dense)
