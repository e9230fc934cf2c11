"""Token vectors in few bytes: what is near stays near."""

from __future__ import annotations

import numpy as np
import pytest

from experts.retrieval.late import nearness, packed, principal_axes

RNG = np.random.default_rng(3)


def unit(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_axes_are_those_along_which_tokens_differ() -> None:
    plane = RNG.normal(size=(200, 2)) @ np.linalg.qr(RNG.normal(size=(16, 2)))[0].T
    axes = principal_axes([plane[:50].astype(np.float32), plane[50:].astype(np.float32)], 2)
    assert axes.shape == (16, 2)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=2e-3)
    np.testing.assert_allclose(plane @ axes @ axes.T, plane, atol=2e-2, err_msg="nothing of them is lost")
    np.testing.assert_array_equal(axes, axes.astype(np.float16), "as stores keep them")


def test_nearness_is_the_mean_of_the_best_cosines() -> None:
    question = unit(RNG.normal(size=(5, 8)))
    passages = [unit(RNG.normal(size=(count, 8))) for count in (3, 1, 7)]
    axes = np.eye(8, dtype=np.float32)
    found = nearness(3 * question, [packed(passage, axes) for passage in passages])
    true = [(question @ passage.T).max(axis=1).mean() for passage in passages]
    np.testing.assert_allclose(found, true, atol=0.01)


def test_a_byte_a_number_is_enough_for_any_length() -> None:
    tokens = np.array([[1e-6, -2e-6], [3e4, 1e4], [0, 0]], np.float32)
    assert packed(tokens, np.eye(2, dtype=np.float32)).tolist() == [[64, -127], [127, 42], [0, 0]]
    assert nearness(np.zeros((1, 2), np.float32), [packed(tokens, np.eye(2, dtype=np.float32))]) == pytest.approx([0])
