"""The store of responses: by key, for a time, so many of them, in a file that several processes share."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from protos import chat_pb2 as chat
from serve.doors.openai_api.responses.store import ResponseStore, Stored
from serve.errors import StorageUnavailable
from serve.settings.responses import ResponsesSettings

DAY_S = 86400.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "responses.sqlite3"


@pytest_asyncio.fixture
async def store(path: Path, clock: Clock) -> AsyncIterator[ResponseStore]:
    store = ResponseStore(ResponsesSettings(path=path, keep_days=1, max_per_key=2), clock=clock)
    yield store
    store.close()


def response(name: str, tenant: str = "ada", **fields: Any) -> Stored:
    turns = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=f"to {name}")])
    return Stored(name, tenant, b'{"id":"%s"}' % name.encode(), turns)


async def test_what_is_kept_is_found_as_it_was(store: ResponseStore) -> None:
    await store.put(response("a"))
    assert await store.get("a", "ada") == response("a")
    assert await store.get("b", "ada") is None


async def test_another_key_finds_and_deletes_nothing(store: ResponseStore) -> None:
    await store.put(response("a"))
    assert await store.get("a", "bob") is None
    assert not await store.delete("a", "bob")
    assert await store.get("a", "ada") is not None


async def test_what_is_deleted_is_gone(store: ResponseStore) -> None:
    await store.put(response("a"))
    assert await store.delete("a", "ada")
    assert await store.get("a", "ada") is None
    assert not await store.delete("a", "ada")


async def test_it_expires(store: ResponseStore, clock: Clock) -> None:
    await store.put(response("a"))
    clock.now += DAY_S
    assert await store.get("a", "ada") is not None
    clock.now += 1
    assert await store.get("a", "ada") is None


async def test_the_expired_and_the_superfluous_leave_the_file(path: Path, clock: Clock) -> None:
    settings = ResponsesSettings(path=path, keep_days=1, max_per_key=2)
    first = ResponseStore(settings, clock=clock)
    await first.put(response("old", "bob"))
    clock.now += 2 * DAY_S
    for name in "abc":
        await first.put(response(name))
    first.close()
    second = ResponseStore(settings, clock=clock)  # its first insert prunes
    await second.put(response("d"))
    second.close()
    with sqlite3.connect(path) as database:
        assert [row[0] for row in database.execute("SELECT id FROM responses ORDER BY number")] == ["c", "d"]
    database.close()


async def test_two_processes_share_the_file(path: Path, clock: Clock) -> None:
    one, other = (ResponseStore(ResponsesSettings(path=path), clock=clock) for _ in range(2))
    await asyncio.gather(*(store.put(response(f"{i}-{n}")) for n in range(20) for i, store in enumerate((one, other))))
    assert await other.get("0-19", "ada") is not None
    assert await one.get("1-19", "ada") is not None
    one.close()
    other.close()


def test_nobody_else_may_read_the_file(path: Path) -> None:
    store = ResponseStore(ResponsesSettings(path=path))
    assert not path.exists()
    asyncio.run(store.put(response("a")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


async def test_a_file_of_something_else_is_left_alone(store: ResponseStore, path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    database.close()
    for call in (store.put(response("a")), store.get("a", "ada"), store.delete("a", "ada")):
        with pytest.raises(StorageUnavailable):
            await call
    with sqlite3.connect(path) as database:
        assert [row[0] for row in database.execute("SELECT name FROM sqlite_master")] == ["cats"]
    database.close()


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ResponseStore(ResponsesSettings(path=tmp_path / "file" / "responses.sqlite3"))
    with pytest.raises(StorageUnavailable) as refused:
        await store.put(response("a"))
    assert str(tmp_path) not in refused.value.message
    store.close()
