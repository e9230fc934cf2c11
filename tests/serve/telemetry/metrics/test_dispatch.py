"""Metrics of dispatch: a circuit's level, and what several workers' circuits make."""

import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.dispatch import CircuitState
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample

LEVELS = [(CircuitState.CLOSED, 0), (CircuitState.HALF_OPEN, 1), (CircuitState.OPEN, 2)]


@pytest.mark.parametrize(("state", "level"), LEVELS)
def test_a_circuit_is_shown_as_its_documented_level(state: CircuitState, level: int) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.dispatch.circuit("coder", state)
    assert sample(metrics.registry, "circuit_state", expert="coder") == level


@pytest.mark.parametrize(("state", "level"), LEVELS)
def test_the_worst_of_the_workers_counts(state: CircuitState, level: int) -> None:
    workers = [Metrics(CollectorRegistry()) for _ in range(2)]
    workers[0].dispatch.circuit("coder", CircuitState.HALF_OPEN)
    workers[1].dispatch.circuit("coder", state)
    joined = merge([snapshot(one.registry) for one in workers], workers[0].across)
    shown = [one.samples for one in joined.collect() if one.name == "moegate_circuit_state"]
    assert [sample.value for sample in shown[0]] == [max(1, level)]


def test_who_gave_way_and_who_took_over_are_not_swapped() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.dispatch.fallbacks.labels("coder", "advisor").inc()
    metrics.dispatch.hedges.labels("coder", "advisor").inc()
    assert sample(metrics.registry, "fallbacks_total", expert="coder", to="advisor") == 1
    assert sample(metrics.registry, "hedges_total", expert="coder", to="advisor") == 1
