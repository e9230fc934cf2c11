from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.featurize import RouteQuery, Turn
from router.model.network import Network
from router.training.crossval import HeldOut, leave_one_source_out, truth
from router.training.dataset import Row

CLASSES = ("coder", "advisor")


class Told(Network):
    """A network that says what it is told, and that its fit was for."""

    def __init__(self, name: float) -> None:
        object.__setattr__(self, "name", name)

    def logits_of(self, matrix: Any) -> Any:
        """The row's own number, and which network was asked."""
        return np.stack([matrix[:, 0], np.full(len(matrix), getattr(self, "name"))], axis=1)  # noqa: B009  # not a field


def row(source: str, *labels: str) -> Row:
    return Row(source, RouteQuery((Turn("user", "x"),)), labels or ("coder",))


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=float)[:, None]


def test_accuracy_is_by_source_and_every_source_counts_the_same() -> None:
    logits = np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [0.0, 1.0]])
    right = np.array([[True, False], [False, True], [False, True], [True, True]])
    held = HeldOut(logits, right, np.array(["a", "a", "a", "b"]))
    assert held.accuracy_by_source() == {"a": pytest.approx(2 / 3), "b": 1.0}
    assert held.macro_accuracy() == pytest.approx(5 / 6)


def test_any_of_a_rows_labels_is_right_and_one_of_another_class_is_not() -> None:
    rows = [row("s", "coder"), row("s", "advisor", "coder"), row("s", "tool-caller")]
    assert truth(rows, CLASSES).tolist() == [[True, False], [True, True], [False, False]]


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=30).filter(lambda names: len(set(names)) > 1))
def test_each_row_is_judged_once_by_a_network_that_never_saw_its_source(sources: list[str]) -> None:
    rows = [row(source) for source in sources]
    fitted: list[tuple[set[str], list[float]]] = []
    steps: list[str] = []

    def fit(matrix: Any, seen: Sequence[Row]) -> Network:
        assert len(matrix) == len(seen)
        fitted.append(({one.source for one in seen}, matrix[:, 0].tolist()))
        return Told(len(fitted) - 1)

    held = leave_one_source_out(numbered(len(rows)), rows, CLASSES, Told(-1), fit, steps.append)
    places = held.logits[:, 0].astype(int).tolist()
    assert sorted(places) == list(range(len(rows)))
    for place, network, source in zip(places, held.logits[:, 1].astype(int), held.sources, strict=True):
        seen, taught = fitted[network]
        assert rows[place].source == source
        assert source not in seen
        assert place not in taught
        assert len(taught) == sum(one.source != source for one in rows)
    assert steps == [f"without {source}" for source in sorted(set(sources))]


def test_beside_seeds_the_whole_network_is_asked_and_seeds_are_not_judged() -> None:
    rows = [row("seed:a"), row("b", "advisor"), row("seed:a"), row("c")]

    def fit(matrix: Any, seen: Sequence[Row]) -> Network:
        raise AssertionError("nothing is to be fitted")

    held = leave_one_source_out(numbered(4), rows, CLASSES, Told(-1), fit)
    assert held.logits.tolist() == [[1, -1], [3, -1]]
    assert held.sources.tolist() == ["b", "c"]
    assert held.right.tolist() == [[False, True], [True, False]]
