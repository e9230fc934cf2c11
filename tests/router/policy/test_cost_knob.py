import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.policy.cost_knob import Knob

tables = st.lists(st.floats(0, 10), min_size=1, max_size=30).map(lambda values: (0.0, *sorted(values)))


@given(tables, st.floats(0, 1), st.floats(0, 1))
def test_the_price_of_cost_never_falls_as_the_knob_moves(table: tuple[float, ...], one: float, other: float) -> None:
    knob = Knob(table)
    low, high = sorted((one, other))
    assert knob.price_of_cost(low) <= knob.price_of_cost(high) + 1e-9
    assert knob.price_of_cost(0.0) == 0.0
    assert knob.price_of_cost(1.0) == pytest.approx(table[-1])


@given(tables, st.floats(0, 1))
def test_a_position_is_found_again(table: tuple[float, ...], position: float) -> None:
    knob = Knob(table)
    rate = knob.price_of_cost(position)
    assert knob.price_of_cost(knob.position_of(rate)) == pytest.approx(rate, abs=1e-6)


def test_it_survives_the_artefact() -> None:
    knob = Knob((0.0, 0.2, 0.9), 100.0, 50.0)
    assert Knob.from_dict(knob.as_dict()) == knob


@pytest.mark.parametrize("table", [[], [0.0], [0.1, 0.2], [0.0, 0.5, 0.4]])
def test_a_table_that_does_not_rise_from_nothing_is_refused(table: list[float]) -> None:
    with pytest.raises(ValueError, match="rise"):
        Knob.from_dict({"table": table, "prompt_tokens": 1, "completion_tokens": 1})
