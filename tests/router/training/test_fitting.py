import warnings
from dataclasses import fields

import numpy as np
import pytest

from router.features.featurize import BUCKETS
from router.features.int4 import LEVELS
from router.model.network import Network
from router.training import fitting
from router.training.dataset import Row
from router.training.fitting import LEAST_ROWS, RATE, STEADY, UNITS, fit_network, rate_at
from router.training.heads import design_matrix, featurize_all

CLASSES = ("advisor", "coder", "generalist", "researcher")


@pytest.fixture(scope="module")
def asked(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.query.has_tools]


@pytest.fixture(scope="module")
def network(asked: list[Row]) -> Network:
    return fit_network(design_matrix(featurize_all(asked)), asked, CLASSES, seed=1, copies=1)


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(network: Network, asked: list[Row]) -> None:
    matrix = design_matrix(featurize_all(asked))
    again, other = (fit_network(matrix, asked, CLASSES, seed=seed, copies=1) for seed in (1, 2))
    assert all(np.array_equal(getattr(network, one.name), getattr(again, one.name)) for one in fields(Network))
    assert not np.array_equal(network.hashed, other.hashed)


def test_weights_fit_four_bits_and_what_is_unknown_adds_nothing(network: Network) -> None:
    assert network.hashed.dtype == np.int8
    assert np.abs(network.hashed).max() == LEVELS
    assert not network.hashed[0].any()
    assert network.hashed.shape == (len(network.known) + 1, UNITS)
    assert (network.scale > 0).all()


def test_only_n_grams_of_enough_rows_are_known(network: Network, asked: list[Row]) -> None:
    held = np.zeros(BUCKETS, dtype=int)
    for features in featurize_all(asked):
        held[np.unique(features.indices)] += 1
    assert np.array_equal(network.known, np.flatnonzero(held >= LEAST_ROWS))
    assert (held == LEAST_ROWS - 1).sum() > 0


def test_a_class_without_rows_is_never_likely(asked: list[Row]) -> None:
    matrix = design_matrix(featurize_all(asked))
    made = fit_network(matrix, asked, (*CLASSES, "poet"), seed=1, copies=1)
    logits = made.logits_of(matrix)
    assert logits[:, 4].max() < logits[:, :4].max(axis=1).min()


def test_a_single_class_is_still_a_network(asked: list[Row]) -> None:
    matrix = design_matrix(featurize_all(asked))
    made = fit_network(matrix, asked, ("coder",), seed=1, copies=1)
    is_coder = np.array(["coder" in row.labels for row in asked])
    logits = made.logits_of(matrix)[:, 0]
    assert logits[is_coder].mean() > logits[~is_coder].mean() + 1


def test_rows_that_share_no_words_leave_structure_to_tell(asked: list[Row]) -> None:
    """Fewer rows than an n-gram needs to be known: none is."""
    few = asked[:1] + asked[-1:]
    made = fit_network(design_matrix(featurize_all(few)), few, CLASSES, seed=0, copies=1)
    assert len(made.known) == 0
    assert np.isfinite(made.logits_of(design_matrix(featurize_all(few)))).all()


def test_stopping_early_is_no_warning(asked: list[Row]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_network(design_matrix(featurize_all(asked[:20])), asked[:20], CLASSES, seed=0, copies=1)


def test_no_decision_hangs_on_a_few_words(asked: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    """N-grams that a step leaves out are left out by lot, and the others count the more."""
    matrix = design_matrix(featurize_all(asked))[:, :BUCKETS].tocsr()
    monkeypatch.setattr(fitting, "DROPPED", 0.5)
    thinned = fitting._thinned(matrix.copy(), np.random.default_rng(0))
    kept = thinned.data != 0
    assert 0.45 < kept.mean() < 0.55
    assert np.allclose(thinned.data[kept], 2 * matrix.data[kept])


def test_more_copies_leave_the_first_as_it_is(asked: list[Row], network: Network) -> None:
    made = fit_network(design_matrix(featurize_all(asked)), asked, CLASSES, seed=1, copies=3)
    assert np.allclose(made.dense[:, :UNITS], network.dense, atol=1e-5)
    assert made.hashed.shape[1] == 3 * UNITS


def test_steps_stay_as_they_are_for_a_while_and_then_fall_to_nothing() -> None:
    assert rate_at(0.0) == rate_at(STEADY) == RATE
    falling = [rate_at(done) for done in (STEADY, 0.7, 0.9, 1.0)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == 0.0
