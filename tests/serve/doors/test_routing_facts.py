"""What both doors tell of the routing: one name a fact, numbers that can be read, the key's limits behind them."""

import pytest

from router.decision import Reason
from serve.doors.routing_facts import routing_facts
from serve.limits.quota import Allowance, Headers
from tests.fakes.core import played_answer
from tests.helpers import route_decision


class Limited(Allowance):
    @property
    def headers(self) -> Headers:
        return (("x-ratelimit-limit-requests", "60"),)


@pytest.mark.parametrize("reason", list(Reason))
def test_who_answers_and_why(reason: Reason) -> None:
    facts = dict(routing_facts(played_answer(route_decision("coder", "advisor", reason=reason, confidence=0.8))))
    assert (facts["x-moegate-expert"], facts["x-moegate-reason"]) == ("coder", reason.value)
    assert facts["x-moegate-confidence"] == "0.8000"
    assert facts["x-moegate-ranking"] == "coder=0.8000,advisor=0.4000"
    assert facts["x-moegate-router"] == "v"


def test_after_a_fallback_it_is_who_answers_and_not_who_was_meant() -> None:
    decision = route_decision("coder", "advisor", "generalist", confidence=0.6).fallback_to(1)
    facts = dict(routing_facts(played_answer(decision)))
    assert facts["x-moegate-expert"] == "advisor"
    assert facts["x-moegate-confidence"] == "0.3000"
    assert [one.partition("=")[0] for one in facts["x-moegate-ranking"].split(",")] == [
        "advisor",
        "coder",
        "generalist",
    ]


def test_our_own_time_is_in_milliseconds() -> None:
    answer = played_answer(route_decision("coder"))
    answer.overhead_s = 0.0123456
    assert dict(routing_facts(answer))["x-moegate-overhead-ms"] == "12.346"


def test_the_keys_limits_come_last_and_no_name_comes_twice() -> None:
    facts = routing_facts(played_answer(route_decision("coder"), allowance=Limited()))
    assert facts[-1] == ("x-ratelimit-limit-requests", "60")
    names = [name for name, _ in facts]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names), "HTTP/2 and gRPC know no other"
