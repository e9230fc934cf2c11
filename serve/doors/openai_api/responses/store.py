"""Responses that are kept: an embedded SQLite, shared by the workers of one gateway.

A row is all that going on from a response needs, the turns before it included: so a conversation does not break where
an older row has expired. Every key sees its own rows alone. A thread does the work, not the event loop. A row survives
the process at once; the machine's failure may cost the last ones (`synchronous=NORMAL`).
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from protos import chat_pb2 as chat
from serve.errors import StorageUnavailable
from serve.settings.responses import ResponsesSettings
from serve.settings.state_folder import state_folder

_PRUNE_EVERY: Final = 100  # inserts
_DAY_S: Final = 86400.0
_COLUMNS: Final = {"id", "tenant", "at", "body", "turns"}
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,        -- the key's name; empty without keys
    at REAL NOT NULL,            -- seconds since 1970
    body BLOB NOT NULL,          -- the response as it was sent, JSON
    turns BLOB NOT NULL          -- the conversation up to and with its answer, moegate.chat.v1.Conversation
);
CREATE INDEX IF NOT EXISTS by_tenant ON responses (tenant, number)
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """A response that is kept.

    Attributes:
        id: its id.
        tenant: the key's name.
        body: as it was sent, JSON.
        turns: the conversation up to and with its answer; instructions are no part of it.
    """

    id: str
    tenant: str
    body: bytes
    turns: chat.Conversation


class ResponseStore:
    """Keeps responses. Its file is opened at the first one: a gateway that keeps none writes no file."""

    def __init__(self, settings: ResponsesSettings, *, clock: Callable[[], float] = time.time) -> None:
        self.is_on = settings.store
        self._settings = settings
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="responses")
        self._file: _File | None = None

    async def put(self, stored: Stored) -> None:
        """Keep one.

        Raises:
            StorageUnavailable: it could not be written.
        """
        await self._do(lambda file: file.insert(stored, self._clock()))

    async def get(self, response_id: str, tenant: str) -> Stored | None:
        """Look one up; None where the key has none of that id, or it has expired.

        Raises:
            StorageUnavailable: it could not be read.
        """
        since = self._clock() - self._settings.keep_days * _DAY_S
        return await self._do(lambda file: file.get(response_id, tenant, since))

    async def delete(self, response_id: str, tenant: str) -> bool:
        """Forget one; returns whether it was there.

        Raises:
            StorageUnavailable: it could not be deleted.
        """
        return await self._do(lambda file: file.delete(response_id, tenant))

    def close(self) -> None:
        """Finish what is being written, close the file."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    async def _do(self, work: Callable[["_File"], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))
        except (sqlite3.Error, OSError):
            raise StorageUnavailable("the responses' store cannot be used; retry later") from None

    def _opened(self) -> "_File":
        if self._file is None:
            path = self._settings.path or state_folder() / "responses.sqlite3"
            self._file = _File(path, self._settings.keep_days * _DAY_S, self._settings.max_per_key)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


class _File:
    """The file. All on one thread."""

    def __init__(self, path: Path, keep_s: float, max_per_key: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # prompts: for nobody else to read
        self._keep_s = keep_s
        self._max_per_key = max_per_key
        self._inserts = 0
        self._database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._refuse_others()
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)

    def _refuse_others(self) -> None:
        """See that the file is new, or holds our table.

        Raises:
            sqlite3.DatabaseError: it is another program's.
        """
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(responses)")}
        if tables and not columns >= _COLUMNS:
            self._database.close()
            raise sqlite3.DatabaseError("responses.path is a database of something else")

    def insert(self, stored: Stored, now: float) -> None:
        """Write one; now and then drop what has expired, and what a key has too many of."""
        row = (stored.id, stored.tenant, now, stored.body, stored.turns.SerializeToString())
        self._database.execute("INSERT INTO responses (id, tenant, at, body, turns) VALUES (?, ?, ?, ?, ?)", row)
        if self._inserts % _PRUNE_EVERY == 0:
            self._prune(now)
        self._inserts += 1

    def _prune(self, now: float) -> None:
        self._database.execute("DELETE FROM responses WHERE at < ?", (now - self._keep_s,))
        for (tenant,) in self._database.execute("SELECT DISTINCT tenant FROM responses").fetchall():
            newest = "SELECT number FROM responses WHERE tenant = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
            self._database.execute(
                f"DELETE FROM responses WHERE tenant = ? AND number <= ({newest})", (tenant, tenant, self._max_per_key)
            )

    def get(self, response_id: str, tenant: str, since: float) -> Stored | None:
        """Read one."""
        found = self._database.execute(
            "SELECT body, turns FROM responses WHERE id = ? AND tenant = ? AND at >= ?", (response_id, tenant, since)
        ).fetchone()
        if found is None:
            return None
        return Stored(response_id, tenant, found[0], chat.Conversation.FromString(found[1]))

    def delete(self, response_id: str, tenant: str) -> bool:
        """Delete one."""
        cursor = self._database.execute("DELETE FROM responses WHERE id = ? AND tenant = ?", (response_id, tenant))
        return cursor.rowcount > 0

    def close(self) -> None:
        """Close it."""
        self._database.close()
