"""Ratings in an embedded SQLite: one file for all workers of a machine."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, fields
from pathlib import Path
from typing import Final

from serve.feedback.rating import Rating, RatingsFailed

_PRUNE_EVERY: Final = 1000  # inserts
_NAMES: Final = tuple(field.name for field in fields(Rating))
_OLDEST: Final = frozenset({"id", "at", "response_id", "rating", "better_expert", "comment", "expert"})
"""Columns that every version of the table has had."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS feedback (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,            -- seconds since 1970
    response_id TEXT NOT NULL,
    rating REAL NOT NULL,        -- -1..1
    better_expert TEXT,
    comment TEXT,
    expert TEXT,                 -- who answered, where that was still known; so are the rest
    reason TEXT,
    confidence REAL,
    propensity REAL,
    router_version TEXT,
    key TEXT NOT NULL DEFAULT '', -- whose opinion
    correction TEXT
)
"""
_UNIQUE: Final = "CREATE UNIQUE INDEX IF NOT EXISTS feedback_once ON feedback (key, response_id)"
_LAST_ONES: Final = "DELETE FROM feedback WHERE id NOT IN (SELECT max(id) FROM feedback GROUP BY key, response_id)"


class SqliteRatings:
    """The file. Write-ahead log, `synchronous=FULL`: a rating is on disk before it is acknowledged."""

    def __init__(self, path: Path, max_rows: int) -> None:
        """Open it, or make it; beyond `max_rows` the oldest ratings go.

        Raises:
            RatingsFailed: it cannot be opened, or is another program's.
        """
        self._rows = max_rows
        self._inserts = 0
        with _failing():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def put(self, rating: Rating) -> bool:
        """Write one; now and then drop what is beyond the bound, the oldest first."""
        with _failing():
            if self._inserts % _PRUNE_EVERY == 0:
                self._database.execute(
                    "DELETE FROM feedback WHERE id <= (SELECT max(id) FROM feedback) - ?", (self._rows,)
                )
            self._inserts += 1
            self._database.execute("BEGIN IMMEDIATE")
            with self._ending():
                found = self._database.execute(
                    "DELETE FROM feedback WHERE key = ? AND response_id = ?", (rating.key, rating.response_id)
                )
                self._database.execute(
                    f"INSERT INTO feedback ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})",
                    astuple(rating),
                )
        return found.rowcount == 0

    def ratings(self) -> Iterator[Rating]:
        """By age."""
        with _failing():
            rows = self._database.execute(f"SELECT {', '.join(_NAMES)} FROM feedback ORDER BY id").fetchall()
        return (Rating(*row) for row in rows)

    def forget(self, *, key: str | None = None, response_id: str | None = None) -> int:
        """Delete, and overwrite what was there."""
        with _failing():
            self._database.execute("PRAGMA secure_delete=ON")
            gone = self._database.execute(
                "DELETE FROM feedback WHERE key = ? OR response_id = ?", (key, response_id)
            ).rowcount
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def _prepare(self) -> None:
        """Refuse what is another program's before anything is written; then bring the table up to date."""
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if tables and not self._columns() >= _OLDEST:
            raise sqlite3.DatabaseError("feedback.path is a database of something else")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("BEGIN IMMEDIATE")  # of several workers, one does it
        with self._ending():
            self._database.execute(_SCHEMA)
            if "key" not in self._columns():
                self._database.execute("ALTER TABLE feedback ADD COLUMN key TEXT NOT NULL DEFAULT ''")
                self._database.execute(_LAST_ONES)
            if "correction" not in self._columns():
                self._database.execute("ALTER TABLE feedback ADD COLUMN correction TEXT")
            self._database.execute(_UNIQUE)

    def _columns(self) -> set[str]:
        return {row[1] for row in self._database.execute("PRAGMA table_info(feedback)")}

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise RatingsFailed(str(error)) from None
