"""Stores keep answers for their time and within their size; one that cannot be used says so."""

import asyncio
from pathlib import Path

import pytest

from serve.steps.cache.redis_cache import RedisCache
from serve.steps.cache.sqlite_cache import SqliteCache
from serve.steps.cache.store import CacheUnavailable
from tests.fakes.redis_server import MISSING, redis_server


async def test_answers_go_after_their_time(tmp_path: Path) -> None:
    now = 1000.0
    store = SqliteCache(tmp_path / "a" / "cache.sqlite3", ttl_s=10, max_bytes=100, clock=lambda: now)
    await store.put(b"k", b"answer")
    assert (await store.get(b"k"), await store.get(b"other")) == (b"answer", None)
    now = 1011.0
    assert await store.get(b"k") is None
    await store.close()


async def test_the_oldest_go_where_there_is_no_room(tmp_path: Path) -> None:
    now = 0.0
    store = SqliteCache(tmp_path / "cache.sqlite3", ttl_s=1000, max_bytes=100, clock=lambda: now)
    for at in range(6):
        now = float(at)
        await store.put(bytes([at]), b"x" * 30)
    assert [await store.get(bytes([at])) is not None for at in range(6)] == [False] * 3 + [True] * 3
    await store.close()


async def test_two_workers_share_a_file(tmp_path: Path) -> None:
    one, other = (SqliteCache(tmp_path / "cache.sqlite3", ttl_s=10, max_bytes=100) for _ in range(2))
    await one.put(b"k", b"answer")
    assert await other.get(b"k") == b"answer"
    assert (tmp_path / "cache.sqlite3").stat().st_mode & 0o077 == 0
    await asyncio.gather(one.close(), other.close())


async def test_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path) as port:
        if port is None:
            pytest.skip(MISSING)
        store = RedisCache(f"redis://127.0.0.1:{port}", timeout_s=5, ttl_s=0.2)
        await store.put(b"k", b"answer")
        assert await store.get(b"k") == b"answer"
        await asyncio.sleep(0.3)
        assert await store.get(b"k") is None
        await store.close()


async def test_a_redis_that_is_not_there() -> None:
    store = RedisCache("redis://127.0.0.1:1", timeout_s=0.5, ttl_s=1)
    with pytest.raises(CacheUnavailable):
        await store.get(b"k")
    with pytest.raises(CacheUnavailable):
        await store.put(b"k", b"answer")
    await store.close()
