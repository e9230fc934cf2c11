"""A request's entries in the books: what it cost, what was wasted, and what it would have cost elsewhere."""

import asyncio

import pytest

from serve.costs.ledger import Ledger, Waste
from serve.costs.tariffs import PICO, Tariff, Work
from serve.errors import ExpertFailed
from serve.telemetry.observers.ledger import LedgerObserver
from serve.telemetry.recorder import Recorder
from tests.helpers import chat_request, chunk, last_chunk, route_decision


@pytest.fixture
def books() -> Ledger:
    rates = {name: Tariff(name, "configured", prompt=1.0, completion=10.0) for name in ("coder", "advisor")}
    far = {"far": Tariff("far", "configured", 100.0, 100.0)}
    return Ledger(rates, far, router_usd_per_hour=3600 * 1000 / PICO)  # 1000 picodollars a second


@pytest.fixture
def recorder(books: Ledger) -> Recorder:
    return Recorder((LedgerObserver(books),), books)


def test_an_answer_is_entered_once_and_compared(books: Ledger, recorder: Recorder) -> None:
    with recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.answered(route_decision("coder"), 0.0)
        record.tokens(chunk())
        record.completed(last_chunk(3).completion)
    assert books.spent == {"coder": 37, "advisor": 0}
    assert books.wasted.total() == 0
    assert books.elsewhere == {"far": 1000}
    assert books.router == 1  # a millisecond of deciding
    assert record.cost_pico == books.spent.total()


def test_a_lost_attempt_is_spent_and_wasted_by_its_cause_and_not_compared(books: Ledger, recorder: Recorder) -> None:
    with recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder", "advisor"))
        record.lost("coder", Waste.FELL_BACK, Work(7, 2))
        record.answered(route_decision("advisor"), 0.0)
        record.tokens(chunk())
    assert books.spent == {"coder": 27, "advisor": 17}
    assert {key: pico for key, pico in books.wasted.items() if pico} == {("coder", Waste.FELL_BACK): 27}
    assert books.elsewhere == {"far": 800}
    assert record.cost_pico == books.spent.total()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ExpertFailed("it broke"), Waste.FAILED),
        (ZeroDivisionError(), Waste.FAILED),
        (GeneratorExit(), Waste.CANCELLED),
        (asyncio.CancelledError(), Waste.CANCELLED),
    ],
)
def test_an_answer_that_ended_badly_is_wasted_whole(
    books: Ledger, recorder: Recorder, error: BaseException, cause: Waste
) -> None:
    with pytest.raises(type(error)), recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.tokens(chunk(tokens=4))
        raise error
    assert books.spent["coder"] == books.wasted["coder", cause] == 47


def test_who_reached_nobody_costs_nothing(books: Ledger, recorder: Recorder) -> None:
    with pytest.raises(ExpertFailed), recorder.follow(chat_request()):
        raise ExpertFailed("it broke")
    assert (books.spent.total(), books.elsewhere.total(), books.router) == (0, 0, 0)
