"""A request's record: what it knows at each point, and what its observers are told, in which order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decision import Reason
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.errors import ExpertFailed
from serve.limits.bucket import Amount
from serve.telemetry.metrics import NO_EXPERT
from serve.telemetry.observer import EVENTS, Observer, listeners_of
from serve.telemetry.record import CANCELLED, OK, RequestRecord
from serve.telemetry.recorder import Recorder
from tests.helpers import Diary, FlatPrices, chat_request, chunk, last_chunk, route_decision


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def recorder(diary: Diary, clock: Clock) -> Recorder:
    return Recorder((Observer(), diary), FlatPrices(), clock=clock)


def test_a_whole_answer_is_told_in_order(recorder: Recorder, diary: Diary, clock: Clock) -> None:
    with recorder.follow(chat_request(received_at=100.0)) as record:
        record.admitted(1.0)
        clock.now = 103.0
        record.routed(route_decision("coder", "advisor"))
        clock.now = 104.0
        record.answered(route_decision("coder", "advisor"), 0.0)
        record.tokens(chunk())
        clock.now = 106.0
        record.tokens(chunk(tokens=2))
        end = last_chunk(3)
        record.tokens(end)
        assert record.completed(end.completion) == pytest.approx(10e-12)
        clock.now = 107.0
    assert diary.events == [
        ("begun",),
        ("admitted", 1.0),
        ("assigned", NO_EXPERT, "coder"),
        ("routed", "coder"),
        ("dispatched",),
        ("answered", "coder"),
        ("first_token",),
        ("tokens", 2),
        ("completed", 3),
        ("ended", OK),
    ]
    assert (record.overhead_s, record.ttft_s, record.decode_s, record.duration_s) == (2.0, 4.0, 2.0, 7.0)
    assert record.work == Work(7, 3, 1.0)
    assert record.cost_pico == 10


def test_losses_are_paid_and_a_fallback_is_told(recorder: Recorder, diary: Diary) -> None:
    with recorder.follow(chat_request()) as record:
        record.admitted(0.0)
        record.routed(route_decision("coder", "advisor"))
        record.lost("coder", Waste.FELL_BACK, Work(5, 2, 0.1))
        record.fell_back("coder", "advisor")
        record.answered(route_decision("advisor"), 0.0)
        record.tokens(chunk())
        assert record.spent() == Amount(15, 15)
    assert ("lost", "coder", "fell_back", 7) in diary.events
    assert ("fell_back", "coder", "advisor") in diary.events
    assert ("assigned", "coder", "advisor") in diary.events
    assert record.cost_pico == 7 + 8


def test_who_a_request_is_handed_on_to_has_it_from_then_on(recorder: Recorder, diary: Diary) -> None:
    words = route_decision("advisor", "tool-caller", reason=Reason.HANDED_BACK)
    with pytest.raises(ExpertFailed), recorder.follow(chat_request()) as record:
        record.admitted(0.0)
        record.routed(route_decision("tool-caller", "advisor"))
        record.lost("tool-caller", Waste.HANDED_BACK, Work(5, 2, 0.1))
        record.handed_back("tool-caller", words)
        assert (record.expert, record.decision) == ("advisor", words)
        raise ExpertFailed("nobody answered")
    told = [event for event in diary.events if event[0] in ("lost", "assigned", "handed_back", "ended")]
    assert told == [
        ("assigned", NO_EXPERT, "tool-caller"),
        ("lost", "tool-caller", "handed_back", 7),
        ("assigned", "tool-caller", "advisor"),
        ("handed_back", "tool-caller", "advisor"),
        ("ended", "expert_failed"),
    ]
    assert record.cost_pico == 7


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ExpertFailed("it broke"), "expert_failed"),
        (asyncio.CancelledError(), CANCELLED),
        (GeneratorExit(), CANCELLED),
        (ZeroDivisionError(), "internal_error"),
    ],
)
def test_however_it_ends_it_ends_once(recorder: Recorder, diary: Diary, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)), recorder.follow(chat_request()) as record:
        raise error
    assert diary.events == [("begun",), ("ended", outcome)]
    assert (record.expert, record.cost_pico) == (NO_EXPERT, 0)


def test_an_answer_that_was_cut_off_held_its_slot_since_it_was_begun(recorder: Recorder, clock: Clock) -> None:
    with pytest.raises(ExpertFailed), recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.answered(route_decision("coder"), 110.0)
        record.tokens(chunk())
        clock.now = 125.0
        raise ExpertFailed("it broke")
    assert record.work == Work(7, 1, 15.0)


def test_every_event_has_a_method_and_costs_nothing_where_nobody_listens() -> None:
    assert set(EVENTS) == {name for name in vars(Observer) if not name.startswith("_")}
    assert not any(listeners_of((Observer(),), event) for event in EVENTS)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_tokens_add_up(counts: list[int]) -> None:
    diary = Diary()
    with Recorder((diary,), FlatPrices()).follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        for count in counts:
            record.tokens(chunk(tokens=count))
    told = [event for event in diary.events if event[0] in ("first_token", "tokens")]
    assert len(told) == sum(count > 0 for count in counts)
    assert record.completion_tokens == sum(counts)


def test_the_trace_context_that_goes_on_is_the_callers(recorder: Recorder) -> None:
    request = chat_request(traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    record: RequestRecord = recorder.follow(request)
    assert record.traced(request) is request
