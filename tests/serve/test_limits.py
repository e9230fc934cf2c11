"""The arithmetic of limits, and that every store does it alike: in the process, in a shared file, in Redis."""

import asyncio
import multiprocessing
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError

from serve.limit_stores import LimitStore, LocalStore, SharedStore
from serve.limits import Account, Limit, Short, settle, take
from serve.redis_limits import Forgiving, RedisStore

NOW = 1_750_000_000.0


def test_requests_run_out_and_come_back() -> None:
    account, limit = Account(), Limit(rpm=3, tpm=None, usd=None)
    assert [take(account, limit, 0, NOW).short for _ in range(4)] == [None, None, None, Short.REQUESTS]
    assert take(account, limit, 0, NOW).retry_after_s == pytest.approx(20)
    assert take(account, limit, 0, NOW + 19.9).short is Short.REQUESTS
    assert take(account, limit, 0, NOW + 20.1).short is None


def test_tokens_are_reserved_then_set_right() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=100, usd=None)
    assert take(account, limit, 60, NOW).tokens == pytest.approx(40)
    assert take(account, limit, 60, NOW).short is Short.TOKENS
    settle(account, limit, reserved=60, used=10, usd=0, now=NOW)
    assert take(account, limit, 60, NOW).short is None
    settle(account, limit, reserved=60, used=500, usd=0, now=NOW)  # it may be overdrawn, and then has to recover
    assert take(account, limit, 1, NOW + 60).short is Short.TOKENS
    assert take(account, limit, 1, NOW + 300).short is None


def test_a_request_larger_than_the_limit_takes_all_of_it_and_is_let_in() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=100, usd=None)
    assert take(account, limit, 5000, NOW).short is None
    assert take(account, limit, 1, NOW).short is Short.TOKENS


def test_usd_end_with_the_period_and_begin_with_the_next() -> None:
    account, limit = Account(), Limit(rpm=None, tpm=None, usd=1.0)
    assert take(account, limit, 0, NOW).short is None
    settle(account, limit, reserved=0, used=9, usd=1.5, now=NOW)
    refused = take(account, limit, 0, NOW)
    assert refused.short is Short.USD
    assert take(account, limit, 0, NOW + refused.retry_after_s - 1).short is Short.USD
    assert take(account, limit, 0, NOW + refused.retry_after_s + 1).short is None


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
        if take(account, limit, wanted, now).short is None:
            let_in += 1
            used_in_all += used
            settle(account, limit, reserved=wanted, used=used, usd=0, now=now)
        assert account.requests <= rpm + 1e-6
        assert account.tokens <= tpm + 1e-6
    minutes = (now - NOW) / 60
    assert let_in <= rpm * (1 + minutes) + 1e-6
    last_one = max((used for _, _, used in steps), default=0)
    assert used_in_all <= tpm * (1 + minutes) + last_one + 1e-6


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    arguments = [server, "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        process.terminate()


@pytest_asyncio.fixture(params=["local", "shared", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LimitStore]:
    made: LimitStore
    match request.param:
        case "local":
            made = LocalStore()
        case "shared":
            made = SharedStore(tmp_path / "limits", ["a", "b", "c"])
        case _:
            made = RedisStore(f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}", timeout_s=5)
            await made._redis.flushall()  # type: ignore[attr-defined]
    yield made
    await made.close()


async def test_every_store_counts_alike(store: LimitStore) -> None:
    limit, now = Limit(rpm=3, tpm=1000, usd=0.5), time.time()
    first = await store.take("a", limit, 100, now)
    assert first.short is None
    assert (first.requests, first.tokens) == (pytest.approx(2, abs=0.05), pytest.approx(900, abs=5))
    assert (await store.take("a", limit, 901, now)).short is Short.TOKENS
    await store.settle("a", limit, reserved=100, used=400, usd=0.1, now=now)
    assert (await store.take("a", limit, 0, now)).tokens == pytest.approx(600, abs=10)
    assert (await store.take("a", limit, 0, now)).short is None
    assert (await store.take("a", limit, 0, now)).short is Short.REQUESTS
    assert (await store.take("b", limit, 0, now)).short is None  # another key's account
    await store.settle("b", limit, reserved=0, used=1, usd=0.5, now=now)
    spent = await store.take("b", limit, 0, now)
    assert spent.short is Short.USD
    assert 0 < spent.retry_after_s <= 86400
    unlimited = Limit(rpm=None, tpm=None, usd=5.0)
    assert {(await store.take("c", unlimited, 9, now)).short for _ in range(50)} == {None}


async def test_two_gateways_share_one_redis(redis_port: int) -> None:
    url, limit = f"redis://127.0.0.1:{redis_port}", Limit(rpm=20, tpm=None, usd=None)
    one, two = RedisStore(url, 5), RedisStore(url, 5)
    takes = [gateway.take("shared", limit, 0, 0) for gateway in (one, two) for _ in range(30)]
    standings = await asyncio.gather(*takes)
    await asyncio.gather(one.close(), two.close())
    assert sum(standing.short is None for standing in standings) in (20, 21)  # a slow run may earn one more


def _take_many(path: Path, count: int) -> int:
    async def work() -> int:
        store = SharedStore(path, ["a"])
        standings = [await store.take("a", Limit(rpm=1000, tpm=None, usd=None), 0, NOW) for _ in range(count)]
        await store.close()
        return sum(standing.short is None for standing in standings)

    return asyncio.run(work())


def test_workers_share_one_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_many, [(tmp_path / "limits", 700)] * 3)
    assert sum(taken) == 1000


class Slow(LocalStore):
    """A Redis that has stopped to answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.asked = 0

    async def take(self, name, limit, tokens, now):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        self.asked += 1
        raise self.error


@pytest.mark.parametrize("error", [RedisError("gone"), TimeoutError(), ConnectionRefusedError()])
async def test_a_dead_store_stops_nobody_and_is_asked_again_later(error: Exception) -> None:
    now, failures = [0.0], []
    dead = Slow(error)
    store = Forgiving(dead, on_failure=lambda: failures.append(1), clock=lambda: now[0])
    limit = Limit(rpm=2, tpm=None, usd=None)
    assert [(await store.take("a", limit, 0, NOW)).short for _ in range(3)] == [None, None, Short.REQUESTS]
    assert (dead.asked, len(failures)) == (1, 1)
    now[0] = 5.1
    await store.take("a", limit, 0, NOW)
    assert dead.asked == 2


async def test_a_redis_that_hangs_costs_its_timeout_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections on and never says a word
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        store = Forgiving(RedisStore(url, timeout_s=0.05), on_failure=lambda: None)
        began = time.monotonic()
        for _ in range(20):
            assert (await store.take("a", Limit(100, None, None), 0, NOW)).short is None
        assert time.monotonic() - began < 1.0
        await store.close()
