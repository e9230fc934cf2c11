"""How long text is held back: one timer, set again when it fires, and a wake-up once something is too old."""

from serve.steps.guard.hold import Hold
from tests.serve.steps.guard.timers import FakeTimers


def holding(limit_s: float = 2.0) -> tuple[Hold, FakeTimers, list[float]]:
    timers, woken = FakeTimers(), list[float]()
    return Hold(limit_s, lambda: woken.append(timers.now), timers), timers, woken


def test_it_wakes_once_what_is_held_is_old_enough() -> None:
    hold, timers, woken = holding()
    hold.watch(timers.now)
    timers.pass_s(1.9)
    assert not hold.is_over(0.0)
    assert woken == []
    timers.pass_s(0.1)
    assert hold.is_over(0.0)
    assert woken == [2.0]


def test_what_goes_on_in_time_wakes_nobody_and_a_message_sets_no_timer() -> None:
    hold, timers, woken = holding()
    for _ in range(100):
        hold.watch(timers.now)  # a word is held back, and goes on with the next one
        timers.pass_s(0.1)
    hold.watch(None)
    timers.pass_s(10.0)
    assert woken == []
    assert timers.set < 10


def test_it_counts_from_the_oldest_character() -> None:
    hold, timers, woken = holding()
    hold.watch(0.0)
    timers.pass_s(1.0)
    hold.watch(0.5)
    timers.pass_s(1.4)
    assert woken == []
    timers.pass_s(0.1)
    assert woken == [2.5]


def test_an_answer_that_has_ended_is_left_alone() -> None:
    hold, timers, woken = holding()
    hold.watch(timers.now)
    hold.stop()
    timers.pass_s(10.0)
    assert woken == []
