"""When a request is sent once more, and which purse pays for it."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from serve.dispatch.attempt import FailedAttempt, Why
from serve.dispatch.further_attempts import FurtherAttempts
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    ExpertFailed,
    ExpertUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
)
from serve.settings.tree import DispatchSettings
from serve.telemetry.metrics import Metrics
from tests.helpers import catalog_of, expert_spec

BROKE = FailedAttempt(Why.BROKE, ExpertUnavailable("lost"))
FAILED = FailedAttempt(Why.FAILED, ExpertFailed("it said so"))
SILENT = FailedAttempt(Why.SILENT, ExpertUnavailable("silent"))
NOT_ASKED = FailedAttempt(Why.NOT_ASKED, ExpertUnavailable("its circuit is open"))


def refused(error: MoegateError) -> FailedAttempt:
    return FailedAttempt(Why.REFUSED, error)


class Purse:
    """The rules, their settings, and what was refused for want of budget."""

    def __init__(self, **settings: Any) -> None:
        self._metrics = Metrics(CollectorRegistry())
        catalog = catalog_of(
            expert_spec("coder", context_window=1000),
            expert_spec("wide", context_window=2000),
            expert_spec("capped", context_window=9000, max_prompt_tokens=500),
        )
        fields = {"retries": 5, "retry_ratio": 0.5, "retry_burst": 2} | settings
        self.rules = FurtherAttempts(catalog, DispatchSettings(**fields), self._metrics.dispatch)

    def sample(self, name: str, **labels: str) -> float:
        return self._metrics.registry.get_sample_value(f"moegate_{name}_total", labels) or 0.0

    @property
    def refused(self) -> float:
        return self.sample("refused_attempts")


def test_only_what_broke_or_cannot_be_judged_by_another_is_retried() -> None:
    rules = Purse(retry_burst=100).rules
    assert rules.may_retry(BROKE, ["wide"], 0)
    assert rules.may_retry(FAILED, [], 0)
    assert not rules.may_retry(FAILED, ["wide"], 0), "another expert tells who is to blame"
    for other in (SILENT, NOT_ASKED, refused(Overloaded("full"))):
        assert not rules.may_retry(other, [], 0)


def test_retries_have_a_bound_that_costs_nothing() -> None:
    purse = Purse(retries=2)
    assert [purse.rules.may_retry(BROKE, [], count) for count in (2, 3, 1, 0)] == [False, False, True, True]
    assert purse.refused == 0


@pytest.mark.parametrize(
    ("failed", "may"),
    [
        (BROKE, True),
        (SILENT, True),
        (FAILED, True),
        (NOT_ASKED, True),
        (refused(Overloaded("full")), True),
        (refused(DeadlineExceeded("passed")), False),
        (refused(InvalidRequest("wrong")), False),
    ],
)
def test_who_may_be_replaced(failed: FailedAttempt, may: bool) -> None:
    purse = Purse()
    assert purse.rules.may_fall_back(failed, "coder", ["wide"]) is may
    assert purse.rules.may_fall_back(failed, "coder", []) is False
    assert purse.refused == 0


@pytest.mark.parametrize(
    ("expert", "to", "may"),
    [("coder", "wide", True), ("wide", "coder", False), ("coder", "coder", False), ("coder", "capped", False)],
)
def test_a_long_prompt_goes_where_a_longer_one_fits(expert: str, to: str, may: bool) -> None:
    too_long = refused(ContextLengthExceeded("long"))
    assert Purse().rules.may_fall_back(too_long, expert, [to]) is may


def test_retries_fallbacks_and_hedges_share_a_budget_and_second_looks_have_another() -> None:
    purse = Purse(retry_burst=2)
    assert purse.rules.may_retry(BROKE, [], 0)
    assert purse.rules.may_hedge("coder", "wide")
    assert not purse.rules.may_fall_back(BROKE, "coder", ["wide"])
    assert not purse.rules.may_hedge("coder", "wide")
    assert purse.refused == 2
    assert purse.sample("hedges", expert="coder", to="wide") == 1, "what was not allowed is none"
    assert [purse.rules.may_retry(FAILED, [], 0) for _ in range(3)] == [True, True, False]
    assert purse.rules.may_fall_back(NOT_ASKED, "coder", ["wide"]), "it has cost nothing, and costs nothing"
    assert purse.refused == 3


def test_each_request_pays_its_share_into_both() -> None:
    purse = Purse(retry_burst=1, retry_ratio=0.5)
    purse.rules.may_retry(BROKE, [], 0)
    purse.rules.may_retry(FAILED, [], 0)
    purse.rules.earn()
    assert not purse.rules.may_retry(BROKE, [], 0)
    purse.rules.earn()
    assert purse.rules.may_retry(BROKE, [], 0)
    assert purse.rules.may_retry(FAILED, [], 0)
