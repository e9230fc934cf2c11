"""When an expert is left alone, and how it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.dispatch.circuit_breaker import Circuit
from serve.settings.tree import CircuitSettings
from serve.telemetry.metrics.dispatch import CircuitState


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


class Suspected:
    """A circuit that counts how often it asks for a probe."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.suspicions = 0
        settings = CircuitSettings(failures=3, open_s=5, max_open_s=15)
        self.circuit = Circuit(settings, clock=self.clock, on_change=lambda _: None, on_suspicion=self._suspect)

    def _suspect(self) -> None:
        self.suspicions += 1

    def fail(self, *witnesses: str | None) -> CircuitState:
        for witness in witnesses:
            self.clock.now += 0.01
            self.circuit.failed(began_at=self.clock.now, witness=witness)
        return self.circuit.state


@pytest.mark.parametrize(
    ("witnesses", "state"),
    [
        (("a",) * 50, CircuitState.CLOSED),
        (("",) * 50, CircuitState.CLOSED),  # a gateway without keys
        (("a", "a", "b"), CircuitState.OPEN),
        (("a", "b"), CircuitState.CLOSED),
        ((None, None, None), CircuitState.OPEN),
        ((None, None, "a", "a", "a", "a"), CircuitState.CLOSED),
        ((None, None, "a", None), CircuitState.OPEN),
    ],
)
def test_one_tenant_alone_opens_nothing(witnesses: tuple[str | None, ...], state: CircuitState) -> None:
    suspected = Suspected()
    assert suspected.fail(*witnesses) is state


@given(st.lists(st.sampled_from(["fail", "late", "abandon", "well", "enter", "wait"]), max_size=60))
def test_whatever_one_tenant_does_it_opens_nothing(steps: list[str]) -> None:
    suspected = Suspected()
    circuit = suspected.circuit
    for step in steps:
        match step:
            case "fail":
                suspected.fail("a")
            case "late":
                circuit.failed(began_at=0.0, witness="a")
            case "abandon":
                circuit.abandoned()
            case "well":
                circuit.probed(is_well=True)
            case "enter":
                assert circuit.enter()
            case _:
                suspected.clock.now += 7
        assert circuit.state is CircuitState.CLOSED


def test_a_probe_decides_what_one_tenant_says() -> None:
    suspected = Suspected()
    suspected.fail("a", "a", "a")
    assert suspected.suspicions == 1
    suspected.circuit.probed(is_well=True)
    assert suspected.fail("b") is CircuitState.CLOSED, "what was said before counts no more"
    suspected.fail("b", "b")
    assert suspected.suspicions == 2
    suspected.circuit.probed(is_well=False)
    assert suspected.circuit.state is CircuitState.OPEN


def test_a_probe_ends_every_state() -> None:
    for is_on_trial in (False, True):
        breaker, clock = circuit()
        fail(breaker, clock, 3)
        clock.now = 5
        if is_on_trial:
            assert breaker.enter()  # whoever tries it may hang
        breaker.probed(is_well=True)
        assert breaker.state is CircuitState.CLOSED
        assert breaker.enter()


def test_probes_alone_make_the_pauses_longer_and_an_answer_makes_them_short() -> None:
    breaker, clock = circuit()
    for pause_s in (5, 10, 15, 15):
        fail(breaker, clock, 3)
        assert breaker.retry_after_s == pause_s
        clock.now += pause_s
        breaker.probed(is_well=True)
    breaker.succeeded()
    fail(breaker, clock, 3)
    assert breaker.retry_after_s == 5
    for pause_s in (10, 15, 15):
        breaker.probed(is_well=False)
        assert breaker.retry_after_s == pause_s
