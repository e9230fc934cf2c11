"""Retries are a share of the traffic."""

from serve.dispatch.retry_budget import RetryBudget


def test_retries_are_a_share_of_requests() -> None:
    budget = RetryBudget(ratio=0.25, burst=3)
    spent = 0
    for _ in range(100):
        budget.earn()
        spent += budget.spend()
    assert 25 <= spent <= 28


def test_a_burst_is_allowed_and_no_more_is_saved_up() -> None:
    budget = RetryBudget(ratio=1.0, burst=3)
    for _ in range(50):
        budget.earn()
    assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]
