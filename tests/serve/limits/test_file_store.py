"""Accounts in a file: shared by processes, kept over a restart, and no file of anybody else's is touched."""

import asyncio
import multiprocessing
import os
import signal
import stat
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from serve.costs.tariffs import PICO
from serve.limits.bucket import NOTHING, Amount, LimitKind
from serve.limits.file_store import AccountFileError, SharedStore
from serve.request import Limit

NOW = 1_750_000_000.0
USD = Limit(None, None, 1.0, hold_s=300)


def _take_many(path: Path, count: int) -> int:
    async def work() -> int:
        store = SharedStore(path)
        limit = Limit(rpm=1000, tpm=None, usd=None)
        standings = [await store.take("a", limit, NOTHING, NOW) for _ in range(count)]
        await store.close()
        return sum(standing.short is None for standing in standings)

    return asyncio.run(work())


def _hold_for_ever(path: Path, is_held: Event) -> None:
    async def work() -> None:
        store = SharedStore(path)
        spent = await store.take("a", USD, Amount(pico=PICO // 4), NOW)
        await store.settle("a", spent, Amount(pico=PICO // 4), NOW)
        await store.take("a", USD, Amount(pico=PICO // 2), NOW)

    asyncio.run(work())
    is_held.set()
    time.sleep(600)


def test_workers_share_one_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_many, [(tmp_path / "accounts", 700)] * 3)
    assert sum(taken) == 1000


async def test_who_is_killed_leaves_what_it_spent_and_what_it_held_expires(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    spawn = multiprocessing.get_context("spawn")
    is_held = spawn.Event()
    process = spawn.Process(target=_hold_for_ever, args=(path, is_held))
    process.start()
    assert await asyncio.to_thread(is_held.wait, 60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = SharedStore(path)
    refused = await store.take("a", USD, Amount(pico=PICO // 2), NOW)
    assert (refused.short, refused.spent, refused.held) == (LimitKind.USD, PICO // 4, PICO // 2)
    let_in = await store.take("a", USD, Amount(pico=PICO // 2), NOW + 601)
    assert (let_in.short, let_in.spent, let_in.held) == (None, PICO // 4, PICO // 2)
    await store.close()


async def test_accounts_are_found_again_whichever_names_come_first(tmp_path: Path) -> None:
    path, names = tmp_path / "accounts", [f"{'n' * i}ame-{i}" for i in range(58)]
    for order in (names, names[::-1], names[20:]):
        store = SharedStore(path)
        for name in order:
            standing = await store.take(name, USD, NOTHING, NOW)
            assert standing.spent == (0 if order is names else names.index(name) + 1)
            if order is names:
                await store.settle(name, standing, Amount(pico=names.index(name) + 1), NOW)
        await store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_two_who_add_names_at_the_same_time_see_each_others(tmp_path: Path) -> None:
    one, two = SharedStore(tmp_path / "accounts"), SharedStore(tmp_path / "accounts")
    for i in range(40):
        store, name = (one, two)[i % 2], f"key-{i // 3}"
        standing = await store.take(name, USD, NOTHING, NOW)
        settled = await store.settle(name, standing, Amount(pico=1), NOW)
        assert settled.spent == i % 3 + 1
    await one.close()
    await two.close()


@pytest.mark.parametrize("content", [b"precious", b"\0" * 500, b"moegate accounts 0\n".ljust(600), b"x" * 10_000])
def test_a_file_of_somebody_elses_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(AccountFileError, match="mine: is not a file of accounts"):
        SharedStore(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "such" / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(AccountFileError):
            SharedStore(path)


async def test_a_record_cut_short_by_a_crash_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    store = SharedStore(path)
    await store.take("a", USD, Amount(pico=5), NOW)
    await store.close()
    os.truncate(path, path.stat().st_size + 70)
    store = SharedStore(path)
    assert (await store.take("b", USD, Amount(pico=7), NOW)).held == 7
    assert (await store.take("a", USD, Amount(pico=1), NOW)).held == 6
    await store.close()
