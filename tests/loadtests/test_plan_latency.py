"""What the measurement compares with is worked out right, and it says so where a call was not carried out."""

import pytest

from loadtests.plan_latency import CALLS, Pace, critical_s, interval, needs


def test_a_step_needs_one_two_or_all_of_the_level_above() -> None:
    assert [needs(step) for step in range(1, 7)] == [[], [], [], [1], [1, 2], [1, 2, 3]]
    assert needs(CALLS) == [7, 8, 9]


def test_with_a_pace_of_nothing_the_critical_path_is_four_tools() -> None:
    assert critical_s(Pace(0.0, 0.0), 0.1) == pytest.approx(0.4)


def test_calls_cannot_begin_before_they_are_said_and_words_come_last() -> None:
    # The third call is said after .05 + .06; its tool and those of three levels above it take .4; words take .07.
    assert critical_s(Pace(0.05, 0.02), 0.1) == pytest.approx(0.05 + 0.06 + 0.4 + 0.07)
    # An expert that is slower than the tools: the last call is said after 12 s.
    assert critical_s(Pace(0.0, 1.0), 0.1) == pytest.approx(12 + 0.1 + 1.0)


def test_the_interval_holds_the_mean() -> None:
    low, high = interval([0.3, 0.32, 0.31, 0.35])
    assert 0.3 <= low <= 0.32 <= high <= 0.35
