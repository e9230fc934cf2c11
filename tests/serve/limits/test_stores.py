"""Every store counts alike: in the process, in a shared file, in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from serve.costs.tariffs import PICO
from serve.limits.bucket import NOTHING, Amount, LimitKind
from serve.limits.file_store import SharedStore
from serve.limits.redis_store import RedisStore
from serve.limits.stores import LimitStore, LocalStore
from serve.request import Limit
from tests.fakes.redis_server import MISSING, redis_server


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        if port is None:
            pytest.skip(MISSING)
        yield port


@pytest_asyncio.fixture(params=["local", "shared", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LimitStore]:
    made: LimitStore
    match request.param:
        case "local":
            made = LocalStore()
        case "shared":
            made = SharedStore(tmp_path / "accounts")
        case _:
            made = RedisStore(f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}", timeout_s=5)
            await made._redis.flushall()  # type: ignore[attr-defined]
    yield made
    await made.close()


async def test_every_store_counts_alike(store: LimitStore) -> None:
    limit, now = Limit(rpm=3, tpm=1000, usd=0.5), time.time()
    first = await store.take("a", limit, Amount(100), now)
    assert first.short is None
    assert (first.requests, first.tokens) == (pytest.approx(2, abs=0.05), pytest.approx(900, abs=5))
    assert (await store.take("a", limit, Amount(950), now)).short is LimitKind.TOKENS
    settled = await store.settle("a", first, Amount(400, PICO // 10), now)
    assert (settled.tokens, settled.spent) == (pytest.approx(600, abs=10), PICO // 10)
    assert (await store.take("a", limit, NOTHING, now)).tokens == pytest.approx(600, abs=10)
    assert (await store.take("a", limit, NOTHING, now)).short is None
    assert (await store.take("a", limit, NOTHING, now)).short is LimitKind.REQUESTS
    other = await store.take("b", limit, NOTHING, now)  # another key's account
    assert other.short is None
    await store.settle("b", other, Amount(1, PICO // 2), now)
    spent = await store.take("b", limit, NOTHING, now)
    assert (spent.short, spent.is_budget_spent) == (LimitKind.USD, True)
    assert 0 < spent.retry_after_s <= 86400
    unlimited = Limit(rpm=None, tpm=None, usd=5.0)
    assert {(await store.take("c", unlimited, Amount(9), now)).short for _ in range(50)} == {None}


@pytest.mark.parametrize("pico", [2_000_000, PICO, 1])
async def test_twelve_at_once_hold_the_budget_and_no_more(store: LimitStore, pico: int) -> None:
    limit, now, wanted = Limit(None, None, pico / PICO), time.time(), Amount(10, pico)
    standings = await asyncio.gather(*(store.take("a", limit, wanted, now) for _ in range(12)))
    (one,) = [standing for standing in standings if standing.short is None]
    settled = await store.settle("a", one, NOTHING, now)  # nothing came of it: all of it is there again
    assert (settled.held, settled.spent) == (0, 0)
    again = await asyncio.gather(*(store.take("a", limit, wanted, now) for _ in range(12)))
    assert [standing.short for standing in again].count(None) == 1


async def test_two_gateways_share_one_redis(redis_port: int) -> None:
    url, limit = f"redis://127.0.0.1:{redis_port}", Limit(rpm=20, tpm=None, usd=None)
    one, two = RedisStore(url, 5), RedisStore(url, 5)
    takes = [gateway.take("shared", limit, NOTHING, 0) for gateway in (one, two) for _ in range(30)]
    standings = await asyncio.gather(*takes)
    await asyncio.gather(one.close(), two.close())
    assert sum(standing.short is None for standing in standings) in (20, 21)  # a slow run may earn one more


async def test_a_gateway_that_dies_holding_gives_back_after_a_while(redis_port: int) -> None:
    now = [1_750_000_000.0]
    limit = Limit(None, None, 1.0, hold_s=300)
    for holds in (True, False):  # the first one is killed, the second one starts
        gateway = RedisStore(f"redis://127.0.0.1:{redis_port}", 5, clock=lambda: now[0])
        standing = await gateway.take("dying", limit, Amount(pico=PICO), 0)
        assert standing.short is None
        if holds:
            assert (await gateway.take("dying", limit, Amount(pico=PICO), 0)).short is LimitKind.USD
        await gateway.close()
        now[0] += 601
