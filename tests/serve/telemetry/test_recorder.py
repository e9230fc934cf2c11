"""Makes records: each observer hears what it overrides, and new prices count from the next request on."""

from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.telemetry.recorder import Recorder
from tests.helpers import Diary, FlatPrices, chat_request


class Dearer(FlatPrices):
    """Ten times the price."""

    def price(self, expert: str, work: Work) -> int:
        return 10 * super().price(expert, work)


def test_new_prices_count_from_the_next_request_on() -> None:
    recorder = Recorder((), FlatPrices())
    before = recorder.follow(chat_request())
    recorder.pricing = Dearer()
    after = recorder.follow(chat_request())
    costs = []
    for record in (before, after):
        with record:
            record.admitted(0.0)
            record.lost("coder", Waste.FAILED, Work(100, 10))
        costs.append(record.cost_pico)
    assert costs[0] > 0
    assert costs[1] == 10 * costs[0]


def test_an_observer_that_overrides_nothing_is_not_called() -> None:
    diary = Diary()
    with Recorder((diary,), FlatPrices()).follow(chat_request()):
        pass
    assert [name for name, *_ in diary.events] == ["begun", "ended"]
