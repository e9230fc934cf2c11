import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.evaluation.gap import DRAWS, Figure, bootstrap, recovered

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([-1.0, 0.0, 1.0])), min_size=1, max_size=30)


def test_cost_by_tokens_is_dearer_where_long_prompts_are_sent() -> None:
    gain, score = np.array([1.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0])
    assert recovered(score, gain, np.array([1.0, 1.0, 8.0])).apgr > recovered(score, gain).apgr
    assert recovered(score, gain, np.array([8.0, 1.0, 1.0])).apgr < recovered(score, gain).apgr
    assert recovered(score, gain).cpt(0.5) == pytest.approx(1 / 3)


def test_a_curve_by_hand() -> None:
    """The second call gains, the last one loses: PGR is 0, 0, 1, 2, 1 over cost 0, 1/4, ... 1."""
    curve = recovered(np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0, -1.0]))
    assert curve.pgr.tolist() == [0, 0, 1, 2, 1]
    assert curve.cost.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.apgr == pytest.approx((0 + 0.5 + 1.5 + 1.5) / 4)
    assert (curve.cpt(0.5), curve.cpt(0.8)) == (0.5, 0.5)
    assert curve.figures == (curve.apgr, 0.5, 0.5)


def test_tied_rows_share_what_they_gain_and_cost() -> None:
    tied = recovered(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0]), np.array([3.0, 1.0, 4.0]))
    assert tied.pgr.tolist() == [0, 0.25, 0.5, 1]
    assert tied.cost.tolist() == [0, 0.25, 0.5, 1]


@given(ROWS)
def test_the_order_of_tied_rows_changes_nothing(rows: list[tuple[int, float]]) -> None:
    score, gain = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(gain.sum() > 0)
    there, back = recovered(score, gain), recovered(score[::-1], gain[::-1])
    assert np.allclose(there.pgr, back.pgr)
    assert (there.pgr[0], there.cost[0]) == (0, 0)
    assert (there.pgr[-1], there.cost[-1]) == pytest.approx((1, 1))


@given(ROWS)
def test_no_order_recovers_more_than_the_one_by_gain(rows: list[tuple[int, float]]) -> None:
    score, gain = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(gain.sum() > 0)
    assert recovered(gain, gain).apgr >= recovered(score, gain).apgr - 1e-9
    assert recovered(np.zeros_like(gain), gain).apgr == pytest.approx(0.5)


def test_intervals_are_around_their_values_and_all_scores_are_drawn_alike() -> None:
    generator = np.random.default_rng(3)
    gain = (generator.random(200) < 0.4).astype(float)
    score = gain + generator.normal(0, 0.5, 200)
    found = bootstrap({"good": score, "same": score * 2, "random": np.zeros(200)}, gain, None, seed=1)
    assert found["good"] == found["same"]  # the order alone counts
    assert all(figure.low <= figure.value <= figure.high for figure in found["good"])
    assert found["good"][0].low > found["random"][0].high
    assert bootstrap({"good": score}, gain, None, seed=1)["good"] == found["good"]


def test_an_interval_holds_nineteen_of_twenty_draws() -> None:
    """One prompt in ten gains: CPT50 of the oracle moves with how many were drawn, a binomial of n 100, p 0.1."""
    gain = np.repeat([1.0, 0.0], [10, 90])
    figure = bootstrap({"oracle": gain}, gain, None, seed=0)["oracle"][1]
    drawn = np.ceil(np.random.default_rng(7).binomial(100, 0.1, DRAWS) / 2) / 100
    assert (figure.low, figure.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.011)


def test_a_figure_is_written_with_its_interval() -> None:
    figure = Figure(0.70001, 0.65, 0.75)
    assert str(figure) == "0.700 [0.650, 0.750]"
    assert figure.as_dict() == {"value": 0.7, "ci95": [0.65, 0.75]}
