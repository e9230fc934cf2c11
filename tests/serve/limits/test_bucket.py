"""The arithmetic of limits: what is reserved, settled, refused and forgotten, on one account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.costs.tariffs import PICO
from serve.limits.bucket import NOTHING, Account, Amount, LimitKind, LimitStatus, settle, take
from serve.request import Limit

NOW = 1_750_000_000.0
USD = Limit(rpm=None, tpm=None, usd=1.0)


def tokens(count: int) -> Amount:
    return Amount(tokens=count)


def usd(amount: float) -> Amount:
    return Amount(pico=round(amount * PICO))


def test_requests_run_out_and_come_back() -> None:
    account, limit = Account(), Limit(rpm=3, tpm=None, usd=None)
    assert [take(account, limit, NOTHING, NOW).short for _ in range(4)] == [None, None, None, LimitKind.REQUESTS]
    assert take(account, limit, NOTHING, NOW).retry_after_s == pytest.approx(20)
    assert take(account, limit, NOTHING, NOW + 19.9).short is LimitKind.REQUESTS
    assert take(account, limit, NOTHING, NOW + 20.1).short is None


def test_tokens_are_reserved_then_set_right() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=100, usd=None)
    first = take(account, limit, tokens(60), NOW)
    assert first.tokens == pytest.approx(40)
    assert take(account, limit, tokens(60), NOW).short is LimitKind.TOKENS
    assert settle(account, first, tokens(10), NOW).tokens == pytest.approx(90)
    second = take(account, limit, tokens(60), NOW)
    settle(account, second, tokens(95), NOW)  # it may be overdrawn, and then has to recover
    third = take(account, limit, tokens(1), NOW)
    assert (third.short, third.retry_after_s) == (LimitKind.TOKENS, pytest.approx(6 * 0.6))
    assert take(account, limit, tokens(1), NOW + 3.7).short is None


def test_a_request_larger_than_the_limit_waits_for_a_full_bucket_and_is_charged_no_more_than_that() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=100, usd=None)
    first = take(account, limit, tokens(5000), NOW)
    assert first.short is None
    assert {take(account, limit, tokens(wanted), NOW).short for wanted in (1, 5000)} == {LimitKind.TOKENS}
    assert settle(account, first, tokens(1046), NOW).tokens == 0
    again = take(account, limit, tokens(5000), NOW)
    assert (again.short, again.retry_after_s) == (LimitKind.TOKENS, 60)
    assert take(account, limit, tokens(5000), NOW + 60).short is None


def test_a_refund_never_fills_a_bucket_beyond_its_brim() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=100, usd=None)
    first = take(account, limit, tokens(100), NOW)
    assert settle(account, first, tokens(3), NOW + 59).tokens == 100


def test_usd_end_with_the_period_and_begin_with_the_next() -> None:
    account = Account()
    first = take(account, USD, NOTHING, NOW)
    settle(account, first, Amount(9, round(1.5 * PICO)), NOW)
    refused = take(account, USD, NOTHING, NOW)
    assert (refused.short, refused.is_budget_spent) == (LimitKind.USD, True)
    assert refused.retry_after_s == refused.period_left_s <= 86400
    assert take(account, USD, NOTHING, NOW + refused.retry_after_s - 1).short is LimitKind.USD
    assert take(account, USD, NOTHING, NOW + refused.retry_after_s + 1).short is None


def test_requests_that_run_together_fit_into_the_budget_together() -> None:
    account = Account()
    standings = [take(account, USD, usd(0.3), NOW) for _ in range(12)]
    assert [standing.short for standing in standings] == [None] * 3 + [LimitKind.USD] * 9
    assert (standings[-1].is_budget_spent, standings[-1].retry_after_s) == (False, 1)
    settle(account, standings[0], usd(0.1), NOW)
    assert take(account, USD, usd(0.3), NOW).short is None


def test_one_that_is_alone_may_overrun_the_budget_and_two_may_not() -> None:
    account = Account()
    first = take(account, USD, usd(7), NOW)
    assert first.short is None
    assert {take(account, USD, usd(amount), NOW).short for amount in (7, 0.1, 1e-12)} == {LimitKind.USD}
    settled = settle(account, first, usd(0.999), NOW)
    assert (settled.held, settled.spent) == (0, round(0.999 * PICO))
    last = take(account, USD, usd(7), NOW)  # the last of the budget is of use, too
    assert last.short is None
    assert settle(account, last, usd(5), NOW).is_budget_spent
    assert take(account, USD, usd(1e-12), NOW).short is LimitKind.USD


@pytest.mark.parametrize("taken_at", [0.0, 1.0, 299.0, 300.0, 301.0, 1799.5])
def test_what_a_dead_process_held_expires(taken_at: float) -> None:
    account, limit = Account(), Limit(None, None, 1.0, hold_s=300)
    take(account, limit, NOTHING, NOW)
    assert take(account, limit, usd(0.9), NOW + taken_at).short is None
    for later_s in range(0, 300, 20):
        assert take(account, limit, usd(0.2), NOW + taken_at + later_s).short is LimitKind.USD
    assert take(account, limit, usd(0.2), NOW + taken_at + 601).short is None


def test_what_settles_after_it_has_expired_gives_back_nobody_elses() -> None:
    account, limit = Account(), Limit(None, None, 1.0, hold_s=300)
    late = take(account, limit, usd(0.9), NOW)
    other = take(account, limit, usd(0.8), NOW + 650)
    assert other.short is None
    settled = settle(account, late, usd(0.05), NOW + 660)
    assert (settled.held, settled.spent) == (round(0.8 * PICO), round(0.05 * PICO))
    assert settle(account, other, usd(0.1), NOW + 661).held == 0


def test_a_clock_that_is_set_back_gives_nothing_away() -> None:
    account, limit = Account(), Limit(rpm=1, tpm=100, usd=1.0)
    first = take(account, limit, Amount(100, PICO), NOW)
    assert {take(account, limit, Amount(1, 1), NOW - back_s).short for back_s in (1, 3600, 90_000)} == {LimitKind.USD}
    settle(account, first, Amount(100, PICO), NOW - 90_000)
    assert take(account, limit, tokens(1), NOW - 90_000).is_budget_spent


@given(
    rpm=st.integers(1, 1000),
    tpm=st.integers(1, 10_000),
    steps=st.lists(st.tuples(st.floats(0, 90), st.integers(0, 20_000), st.integers(0, 20_000)), max_size=60),
)
def test_no_more_is_let_in_than_the_limits_allow(rpm: int, tpm: int, steps: list[tuple[float, int, int]]) -> None:
    account, limit, now = Account(), Limit(rpm, tpm, None), NOW
    let_in = used_in_all = 0
    for pause_s, wanted, used in steps:
        now += pause_s
        standing = take(account, limit, tokens(wanted), now)
        assert standing.retry_after_s <= 60
        if standing.short is None:
            let_in += 1
            used_in_all += min(used, tpm)
            settle(account, standing, tokens(used), now)
        assert account.requests <= rpm + 1e-6
        assert account.tokens <= tpm + 1e-6
    minutes = (now - NOW) / 60
    assert let_in <= rpm * (1 + minutes) + 1e-6
    last_one = max((min(used, tpm) for _, _, used in steps), default=0)
    assert used_in_all <= tpm * (1 + minutes) + last_one + 1e-6


@given(
    budget=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 1500), st.floats(0, 1)), max_size=80),
)
def test_however_many_run_at_once_they_spend_the_budget_and_one_request_at_most(
    budget: int, steps: list[tuple[bool, int, float]]
) -> None:
    account, limit = Account(), Limit(None, None, budget / PICO)
    running: list[LimitStatus] = []
    spent = dearest = 0
    for ends, wanted, share in steps:
        if ends and running:
            standing = running.pop(round(share * (len(running) - 1)))
            used = round(standing.reserved.pico * share)
            spent += used
            settle(account, standing, Amount(pico=used), NOW)
        else:
            standing = take(account, limit, Amount(pico=wanted), NOW)
            if standing.short is None:
                running.append(standing)
                dearest = max(dearest, wanted)
        assert account.held + account.held_before == sum(standing.reserved.pico for standing in running)
    spent += sum(standing.reserved.pico for standing in running)
    assert spent <= budget + dearest
    assert spent == 0 or budget > 0
