"""A request's line in the log."""

import logging

import pytest

from protos import chat_pb2 as chat
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.errors import ExpertFailed
from serve.request import Caller, Limit
from serve.telemetry.observers.log import LogObserver
from serve.telemetry.recorder import Recorder
from tests.helpers import FlatPrices, chat_request, chunk, last_chunk, route_decision

SECRET = "the launch code is 0000"


class Clock:
    """A quarter of a second passes at each look."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "moegate.request")


def recorder() -> Recorder:
    return Recorder((LogObserver(),), FlatPrices(), clock=Clock())


def test_a_whole_answer_is_one_line_of_names_and_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller("team-a", Limit(None, None, None))
    request = chat_request(SECRET, id="resp", request_id="theirs", caller=caller, is_stream=True, received_at=100.0)
    with recorder().follow(request) as record:
        record.admitted(0.0)
        record.routed(route_decision("coder", "advisor", confidence=0.123456))
        record.answered(route_decision("coder", "advisor", confidence=0.123456), 0.0)
        record.tokens(chunk(SECRET))
        end = last_chunk(3)
        end.completion.form = chat.FORM_OUTCOME_SECOND_ATTEMPT
        record.completed(end.completion)
    (line,) = caplog.records
    said = vars(line)
    assert (said["request_id"], said["response_id"], said["tenant"], said["door"]) == (
        "theirs",
        "resp",
        "team-a",
        "http",
    )
    assert (said["door"], said["mode"], said["outcome"]) == ("http", "stream", "ok")
    assert (said["expert"], said["reason"]) == ("coder", "classified")
    assert (said["confidence"], said["form"]) == (0.1235, "second_attempt")
    assert (said["prompt_tokens"], said["completion_tokens"]) == (7, 3)
    assert (said["cost_usd"], said["wasted_usd"]) == (pytest.approx(10e-12), 0)
    assert (said["route_us"], said["overhead_ms"], said["ttft_ms"]) == (1000.0, 250.0, 500.0)
    assert said["duration_ms"] > said["ttft_ms"]
    assert SECRET not in str(said)


def test_who_never_reached_an_expert_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ExpertFailed), recorder().follow(chat_request()):
        raise ExpertFailed("it broke")
    said = vars(caplog.records[0])
    assert (said["expert"], said["reason"], said["confidence"], said["tenant"]) == ("none", None, None, None)
    assert (said["outcome"], said["cost_usd"]) == ("expert_failed", 0)
    assert not {"lost", "form"} & said.keys()


def test_what_was_lost_stands_beside_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    with recorder().follow(chat_request()) as record:
        record.routed(route_decision("coder", "advisor"))
        record.lost("coder", Waste.FELL_BACK, Work(5, 2, 0.1))
        record.fell_back("coder", "advisor")
        record.answered(route_decision("coder", "advisor").fallback_to(1), 0.0)
        record.tokens(chunk())
    warning, line = caplog.records
    assert warning.levelno == logging.WARNING
    assert (vars(warning)["expert"], vars(warning)["to"]) == ("coder", "advisor")
    lost = {"expert": "coder", "cause": "fell_back", "prompt_tokens": 5, "completion_tokens": 2}
    assert vars(line)["lost"] == [lost | {"cost_usd": pytest.approx(7e-12)}]
    assert vars(line)["wasted_usd"] == pytest.approx(7e-12)
    assert vars(line)["cost_usd"] == pytest.approx(15e-12)


def test_all_that_a_broken_answer_cost_is_wasted(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ExpertFailed), recorder().follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.tokens(chunk())
        raise ExpertFailed("it broke")
    assert vars(caplog.records[0])["wasted_usd"] == vars(caplog.records[0])["cost_usd"] == pytest.approx(8e-12)
