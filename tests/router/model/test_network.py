import numpy as np
import pytest

from router.features.featurize import featurize, query_from_openai
from router.features.structure import STRUCTURE_NAMES
from router.model.network import Network
from router.training.dataset import Row
from router.training.fitting import fit_network
from router.training.heads import design_matrix, featurize_all

CLASSES = ("advisor", "coder", "generalist", "researcher")


@pytest.fixture(scope="module")
def asked(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.query.has_tools]


@pytest.fixture(scope="module")
def network(asked: list[Row]) -> Network:
    return fit_network(design_matrix(featurize_all(asked)).tocsr(), asked, CLASSES, seed=1, copies=2)


def test_it_answers_one_by_one_as_it_answers_all_together(network: Network, asked: list[Row]) -> None:
    features = featurize_all(asked)
    together = network.logits_of(design_matrix(features).tocsr())
    assert np.allclose([network.logits(one) for one in features], together, atol=1e-4)
    right = np.array([CLASSES.index(row.labels[0]) for row in asked])
    assert (together.argmax(axis=1) == right).mean() > 0.9


def test_around_one_query_its_weights_are_the_whole_answer(network: Network) -> None:
    features = featurize(query_from_openai([{"role": "user", "content": "write a python function that parses bread"}]))
    of_ngrams, of_dense = network.weights_at(features)
    constant = network.bias @ network.through(features) + network.out_bias
    assert of_dense.shape == (len(network.dense), 4) and len(network.dense) > len(STRUCTURE_NAMES)
    assert np.abs(of_ngrams).max() > 0
    assert np.allclose(
        features.values @ of_ngrams + features.dense @ of_dense + constant, network.logits(features), atol=1e-4
    )


def test_copies_are_averaged(network: Network, asked: list[Row]) -> None:
    matrix = design_matrix(featurize_all(asked)).tocsr()
    alone = fit_network(matrix, asked, CLASSES, seed=1, copies=1)
    assert network.hashed.shape[1] == 2 * alone.hashed.shape[1]
    assert np.array_equal(network.hashed[:, : alone.hashed.shape[1]], alone.hashed)
    assert np.allclose(network.out[: len(alone.out)] * 2, alone.out)


def test_rare_ngrams_are_left_out_and_say_nothing(network: Network) -> None:
    assert not network.hashed[0].any() and len(network.hashed) == len(network.known) + 1
    unseen = featurize(query_from_openai([{"role": "user", "content": "zzqxv"}]))
    of_ngrams, _ = network.weights_at(unseen)
    known = np.isin(unseen.indices, network.known)
    assert not known.all() and not of_ngrams[~known].any()


def test_a_single_class_is_learned_too(asked: list[Row]) -> None:
    coders = [row for row in asked if row.labels == ("coder",)]
    features = featurize_all(coders)
    alone = fit_network(design_matrix(features).tocsr(), coders, ("coder",), seed=0, copies=1)
    assert alone.logits(features[0]).shape == (1,) and alone.logits(features[0])[0] > 0
