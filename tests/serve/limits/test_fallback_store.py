"""A Redis that is slow, gone, or comes back: nobody is stopped, nothing that was spent is forgotten."""

import asyncio
import socket

import pytest
from redis.exceptions import RedisError

from serve.costs.tariffs import PICO
from serve.limits.bucket import NOTHING, Amount, LimitKind, LimitStatus
from serve.limits.fallback_store import FallbackStore
from serve.limits.redis_store import RedisStore
from serve.limits.stores import LocalStore
from serve.request import Limit

NOW = 1_750_000_000.0
USD = Limit(None, None, 1.0)


class Failing(LocalStore):
    """A store that fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return await super().take(name, limit, wanted, now)

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().settle(name, taken, used, now)


@pytest.fixture
def now() -> list[float]:
    return [0.0]


def forgiving(store: Failing, now: list[float], failures: list[int] | None = None) -> FallbackStore:
    noted = [] if failures is None else failures
    return FallbackStore(store, on_failure=lambda: noted.append(1), clock=lambda: now[0])


@pytest.mark.parametrize("error", [RedisError("gone"), TimeoutError(), ConnectionRefusedError()])
async def test_a_dead_store_stops_nobody_and_is_asked_again_later(error: Exception, now: list[float]) -> None:
    failures: list[int] = []
    dead = Failing(error)
    store = forgiving(dead, now, failures)
    limit = Limit(rpm=2, tpm=None, usd=None)
    assert [(await store.take("a", limit, NOTHING, NOW)).short for _ in range(3)] == [None, None, LimitKind.REQUESTS]
    assert (dead.asked, len(failures)) == (1, 1)
    now[0] = 5.1
    await store.take("a", limit, NOTHING, NOW)
    assert dead.asked == 2


async def test_what_was_spent_while_it_was_gone_is_told_when_it_is_back(now: list[float]) -> None:
    redis = Failing()
    store = forgiving(redis, now)
    before = await store.take("a", USD, Amount(5, PICO // 4), NOW)
    redis.error = RedisError("gone")
    during = await store.take("a", USD, Amount(5, PICO // 4), NOW)
    assert (before.is_stand_in, during.is_stand_in) == (False, True)
    await store.settle("a", during, Amount(5, 3), NOW)
    await store.settle("a", before, Amount(5, 4), NOW)
    redis.error, now[0] = None, 6.0
    await store.take("a", USD, NOTHING, NOW)
    await store.close()
    after = await redis.take("a", USD, NOTHING, NOW)
    assert (after.spent, after.held) == (7, 0)


async def test_a_reservation_made_here_gives_back_nobody_elses_there(now: list[float]) -> None:
    redis = Failing(RedisError("gone"))
    store = forgiving(redis, now)
    here = await store.take("a", USD, Amount(5, PICO // 2), NOW)
    redis.error, now[0] = None, 6.0
    await redis.take("a", USD, Amount(5, PICO // 2), NOW)  # another gateway's
    await store.settle("a", here, Amount(5, 1), NOW)
    assert (await store.take("a", USD, NOTHING, NOW)).held == PICO // 2
    await store.close()


async def test_it_fails_again_while_it_is_told(now: list[float]) -> None:
    redis = Failing()
    store = forgiving(redis, now)
    taken = [await store.take("a", USD, Amount(5, 10), NOW) for _ in range(3)]
    redis.error = RedisError("gone")
    for standing in taken:
        await store.settle("a", standing, Amount(5, 7), NOW)
    redis.error, now[0] = None, 6.0
    redis.gate.clear()
    await store.take("a", USD, NOTHING, NOW)
    redis.error = RedisError("gone again")
    redis.gate.set()
    await asyncio.sleep(0.01)
    redis.error, now[0] = None, 12.0
    await store.take("a", USD, NOTHING, NOW)
    await store.close()
    after = await redis.take("a", USD, NOTHING, NOW)
    assert (after.spent, after.held) == (21, 0)


async def test_a_client_that_leaves_while_its_account_is_settled_changes_nothing(now: list[float]) -> None:
    redis = Failing()
    store = forgiving(redis, now)
    taken = await store.take("a", USD, Amount(5, 10), NOW)
    redis.gate.clear()
    settling = asyncio.create_task(store.settle("a", taken, Amount(5, 7), NOW))
    await asyncio.sleep(0.01)
    settling.cancel()
    redis.gate.set()
    await store.close()
    after = await redis.take("a", USD, NOTHING, NOW)
    assert (after.spent, after.held) == (7, 0)


async def test_a_redis_that_hangs_is_asked_once_and_then_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections on and never says a word
        silent.settimeout(5)
        failures: list[int] = []
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        redis = RedisStore(url, timeout_s=0.05)
        store = FallbackStore(redis, on_failure=lambda: failures.append(1), clock=lambda: 0.0)
        for _ in range(20):
            assert (await store.take("a", Limit(100, None, None), NOTHING, NOW)).short is None
        assert failures == [1]
        await store.close()
