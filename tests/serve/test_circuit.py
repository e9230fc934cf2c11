"""When an expert is left alone, and how it comes back."""

from serve.circuit import Circuit, CircuitState
from serve.settings import CircuitSettings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def circuit(seen: list[str] | None = None) -> tuple[Circuit, Clock]:
    clock = Clock()
    changes = seen if seen is not None else []
    settings = CircuitSettings(failures=3, open_s=5, max_open_s=15)
    return Circuit(settings, clock=clock, on_change=lambda state: changes.append(state.value)), clock


def fail(breaker: Circuit, clock: Clock, times: int) -> None:
    for _ in range(times):
        assert breaker.enter()
        breaker.failed(began_at=clock.now)


def test_failures_in_a_row_open_it_and_others_do_not() -> None:
    breaker, clock = circuit()
    fail(breaker, clock, 2)
    assert breaker.enter()
    breaker.succeeded()
    fail(breaker, clock, 2)
    breaker.abandoned()  # a client left, a request was wrong
    assert breaker.state is CircuitState.CLOSED
    fail(breaker, clock, 1)
    assert breaker.state is CircuitState.OPEN
    assert not breaker.enter()


def test_many_that_break_at_once_are_one_failure() -> None:
    breaker, clock = circuit()
    clock.now = 10
    for _ in range(20):  # streams of one replica that died, begun while it lived
        breaker.failed(began_at=9)
        clock.now += 0.001
    assert breaker.state is CircuitState.CLOSED
    fail(breaker, clock, 2)
    assert breaker.state is CircuitState.OPEN


def test_one_trial_at_a_time_decides() -> None:
    seen: list[str] = []
    breaker, clock = circuit(seen)
    fail(breaker, clock, 3)
    clock.now = 4.9
    assert not breaker.enter()
    clock.now = 5.0
    assert breaker.enter()
    assert not breaker.enter()
    breaker.succeeded()
    assert breaker.enter()
    assert seen == ["open", "half_open", "closed"]


def test_a_trial_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    breaker, clock = circuit()
    fail(breaker, clock, 3)
    for pause_s in (5, 10, 15, 15):
        assert breaker.retry_after_s == pause_s
        clock.now += pause_s
        assert breaker.enter()
        breaker.failed(began_at=clock.now)


def test_a_trial_whose_client_left_gives_its_turn_back() -> None:
    breaker, clock = circuit()
    fail(breaker, clock, 3)
    clock.now = 5
    assert breaker.enter()
    breaker.abandoned()
    assert breaker.enter()


def test_late_failures_of_older_streams_do_not_end_a_trial() -> None:
    breaker, clock = circuit()
    fail(breaker, clock, 3)
    breaker.failed(began_at=0)  # a stream that was open when the circuit opened
    clock.now = 5
    assert breaker.enter()
    assert breaker.state is CircuitState.HALF_OPEN
