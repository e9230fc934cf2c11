"""Redis's script does the arithmetic of `serve.limits.bucket`: any sequence of steps, compared after each.

One machine drives an account in this process, one in a file and one in Redis, all by one clock, through reservations,
settlements, refunds, deaths and pauses from a millisecond to weeks.
"""

import asyncio
import random
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serve.limits.bucket import NOTHING, Amount, LimitStatus
from serve.limits.file_store import SharedStore
from serve.limits.redis_store import RedisStore
from serve.limits.stores import LimitStore, LocalStore
from serve.request import Limit
from tests.fakes.redis_server import MISSING, redis_server

_NAMES = map("key-{}".format, count())  # a fresh account for each run
_LIMITS = st.builds(
    Limit,
    st.none() | st.integers(1, 20),
    st.none() | st.integers(1, 2000),
    st.none() | st.sampled_from([0.0, 1e-12, 2e-6, 0.013, 5.0]),
    st.sampled_from([86400, 30 * 86400]),
    st.sampled_from([1.0, 303.0, 3603.0]),
)
_AMOUNTS = st.builds(
    Amount, st.integers(0, 4000), st.sampled_from([0, 1, 700_000, 2_000_001, 10**10, 4 * 10**11, 6 * 10**12])
)
_PAUSES = st.sampled_from([0.0, 0.001, 0.5, 7.3, 60.0, 299.9, 303.0, 3700.0, 86400.0, 31 * 86400.0]) | st.floats(0, 900)


class Alike(RuleBasedStateMachine):
    """The same steps on every store."""

    port = 0

    @initialize(limit=_LIMITS, at=st.floats(1.7e9, 1.8e9))
    def begin(self, limit: Limit, at: float) -> None:
        self.limit, self.now, self.name = limit, at, next(_NAMES)
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        redis = RedisStore(f"redis://127.0.0.1:{self.port}", 30, clock=lambda: self.now)
        self.stores: list[LimitStore] = [LocalStore(), SharedStore(Path(self.folder.name) / "accounts"), redis]
        self.running: list[tuple[LimitStatus, ...]] = []
        self.dearest = 0
        self.last: LimitStatus | None = None

    @rule(wanted=_AMOUNTS)
    def take(self, wanted: Amount) -> None:
        standings = [self._run(store.take(self.name, self.limit, wanted, self.now)) for store in self.stores]
        self._compare(standings)
        if standings[0].short is None:
            self.running.append(tuple(standings))
            self.dearest = max(self.dearest, wanted.pico)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), used=st.floats(0, 1), tokens=st.integers(0, 5000))
    def settle(self, data: st.DataObject, used: float, tokens: int) -> None:
        taken = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        is_late = self.now - taken[0].at > self.limit.hold_s  # such a request is dead; its spending would be nobody's
        self._settle(taken, Amount(tokens, 0 if is_late else round(taken[0].reserved.pico * used)))

    @precondition(lambda self: self.running)
    @rule()
    def refund(self) -> None:
        self._settle(self.running.pop(0), NOTHING)

    @precondition(lambda self: self.running)
    @rule()
    def die(self) -> None:
        """All that run are gone, and nobody settles for them."""
        self.running.clear()

    @rule(pause_s=_PAUSES)
    def wait(self, pause_s: float) -> None:
        self.now += pause_s

    @rule(share=st.sampled_from([0.4, 1.0, 1.3, 2.0, 2.4, 3.1]))
    def wait_for_what_is_held(self, share: float) -> None:
        self.now += share * self.limit.hold_s

    @rule(back_s=st.floats(0, 100))
    def set_the_clock_back(self, back_s: float) -> None:
        self.now -= back_s

    @invariant()
    def bounds_hold(self) -> None:
        if self.last is None:
            return
        assert self.last.requests <= (self.limit.rpm or 0)
        assert self.last.tokens <= (self.limit.tpm or 0)
        if self.limit.pico is not None:  # the budget, and the one request that was alone
            assert self.last.spent <= self.limit.pico + self.dearest

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for store in self.stores:
                self._run(store.close())
            self.loop.close()
            self.folder.cleanup()

    def _settle(self, taken: tuple[LimitStatus, ...], used: Amount) -> None:
        both = zip(self.stores, taken, strict=True)
        self._compare([self._run(store.settle(self.name, mine, used, self.now)) for store, mine in both])

    def _run(self, step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # any store's answer
        return self.loop.run_until_complete(step)

    def _compare(self, standings: list[LimitStatus]) -> None:
        assert standings[0] == standings[1] == standings[2]
        self.last = standings[0]


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        if port is None:
            pytest.skip(MISSING)
        yield port


@pytest.mark.parametrize("rpm", [None, 3])
@pytest.mark.parametrize("tpm", [None, 100])
@pytest.mark.parametrize("usd", [None, 0.0, 2e-6, 5.0])
def test_a_long_life_under_each_kind_of_limit(
    redis_port: int, rpm: int | None, tpm: int | None, usd: float | None
) -> None:
    """The same life each time, so that what a change of the script breaks is found each time."""
    Alike.port, draw = redis_port, random.Random(7)
    alike = Alike()
    alike.begin(Limit(rpm, tpm, usd, hold_s=303.0), 1_750_000_000.0)
    for _ in range(120):
        match draw.choice(("take", "take", "settle", "wait", "set back")):
            case "take":
                alike.take(Amount(draw.choice((0, 5, 60, 300)), draw.choice((0, 1, 700_000, 2_000_000, 4 * 10**12))))
            case "settle" if alike.running:
                taken = alike.running.pop(draw.randrange(len(alike.running)))
                alike._settle(taken, Amount(draw.choice((0, 5, 60, 300)), draw.choice((0, taken[0].reserved.pico))))
            case "wait":
                alike.wait(draw.choice((0.0, 0.5, 19.0, 60.0, 303.0, 700.0, 86400.0)))
            case "set back":
                alike.set_the_clock_back(draw.choice((0.5, 40.0, 400.0)))
    alike.teardown()


@pytest.mark.parametrize("hold_s", [1.0, 303.0])
def test_around_the_times_at_which_what_is_held_expires(redis_port: int, hold_s: float) -> None:
    Alike.port = redis_port
    for first, second, third in product((0.0, 0.4, 1.0, 1.3, 2.0, 2.4), repeat=3):
        alike = Alike()
        alike.begin(Limit(20, 2000, 5.0, hold_s=hold_s), 1_750_000_000.0)
        alike.take(Amount(10, 3))
        alike.wait_for_what_is_held(first)
        alike.take(Amount(20, 5))
        alike.wait_for_what_is_held(second)
        alike.refund()
        alike.take(Amount(30, 7))
        alike.wait_for_what_is_held(third)
        alike.refund()
        alike.refund()
        alike.teardown()


def test_redis_and_the_file_count_as_the_process_does(redis_port: int) -> None:
    Alike.port = redis_port
    alike = settings(
        max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    Alike.TestCase.settings = alike
    Alike.TestCase("runTest").runTest()  # type: ignore[attr-defined]  # unittest's
