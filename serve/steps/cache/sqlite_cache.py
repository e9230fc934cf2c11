"""Answers kept in an embedded SQLite, a file that the workers of one gateway share."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from serve.steps.cache.store import CacheUnavailable

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY,        -- `serve.steps.cache.key`: whose request, and which
    at REAL NOT NULL,            -- seconds since 1970
    answer BLOB NOT NULL         -- `serve.steps.cache.kept_answer`
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_age ON answers (at);
"""

T = TypeVar("T")


class SqliteCache:
    """A file of bounded size. A thread does the work, not the event loop; the file is made at the first request."""

    def __init__(self, path: Path, *, ttl_s: float, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._file: sqlite3.Connection | None = None

    async def get(self, key: bytes) -> bytes | None:
        """Look an answer up."""
        since = self._clock() - self._ttl_s
        query = "SELECT answer FROM answers WHERE key = ? AND at > ?"
        row = await self._do(lambda file: file.execute(query, (key, since)).fetchone())
        return None if row is None else row[0]

    async def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer; the oldest go where there is no room."""
        await self._do(lambda file: self._insert(file, key, answer))

    async def close(self) -> None:
        """Finish what is being written, close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._file is not None:
            self._file.close()

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))
        except (sqlite3.Error, OSError):
            raise CacheUnavailable from None

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # answers: for nobody else
            file = sqlite3.connect(self._path, timeout=1.0, check_same_thread=False)
            file.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {_SCHEMA}")
            self._file = file
        return self._file

    def _insert(self, file: sqlite3.Connection, key: bytes, answer: bytes) -> None:
        with file:
            file.execute("DELETE FROM answers WHERE at <= ?", (self._clock() - self._ttl_s,))
            file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, self._clock(), answer))
            too_much = file.execute("SELECT total(length(answer)) FROM answers").fetchone()[0] - self._max_bytes
            oldest = file.execute("SELECT key, length(answer) FROM answers ORDER BY at") if too_much > 0 else ()
            gone: list[tuple[bytes]] = []
            for old, size in oldest:
                if too_much <= 0:
                    break
                gone.append((old,))
                too_much -= size
            file.executemany("DELETE FROM answers WHERE key = ?", gone)
