"""How metrics are made: prefix, units' suffixes, series kept by their labels, gauges across workers."""

import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics.registrar import Across, Children, Registrar
from tests.helpers import sample


@pytest.fixture
def add() -> Registrar:
    return Registrar(CollectorRegistry())


def test_a_counter_is_named_once_and_counted_by_label(add: Registrar) -> None:
    counter = add.counter("birds", "Birds seen", "colour")
    counter.labels("red").inc(2)
    assert sample(add.registry, "birds_total", colour="red") == 2
    assert sample(add.registry, "birds_total", colour="blue") is None
    with pytest.raises(ValueError, match="Duplicated"):
        add.counter("birds", "Birds again")


def test_a_gauge_is_a_sum_unless_it_says_otherwise(add: Registrar) -> None:
    add.gauge("seats", "Seats taken")
    add.gauge("age_seconds", "The oldest one's", across=Across.MAX)
    assert add.across == {"moegate_seats": Across.SUM, "moegate_age_seconds": Across.MAX}


def test_a_histogram_has_the_buckets_that_it_is_given(add: Registrar) -> None:
    add.histogram("nap_seconds", "Naps", (1.0, 5.0), "who").labels("cat").observe(3)
    counts = [sample(add.registry, "nap_seconds_bucket", who="cat", le=le) for le in ("1.0", "5.0", "+Inf", "2.0")]
    assert counts == [0, 1, 1, None]


def test_children_are_the_librarys_own_series_made_once(add: Registrar) -> None:
    metric = add.counter("birds", "Birds seen", "colour", "size")
    children = Children(metric)
    assert children.labels("red", "small") is children.labels("red", "small") is metric.labels("red", "small")
    children.labels("red", "small").inc()
    children.labels("small", "red").inc(5)
    assert sample(add.registry, "birds_total", colour="red", size="small") == 1
    with pytest.raises(ValueError, match="label"):
        children.labels("red")
