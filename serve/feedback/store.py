"""Ratings of answers: stored in an embedded SQLite, counted by expert and verdict, compared with the confidence.

Both doors hand it a `Feedback`. It is on disk before it is acknowledged (write-ahead log, `synchronous=FULL`); a thread
writes it, not the event loop. A comment is stored and goes nowhere else: no metric, no log.
"""

import asyncio
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.decision import Reason, RouteDecision
from serve.errors import InvalidRequest, StorageUnavailable
from serve.settings.state_folder import state_folder
from serve.settings.tree import FeedbackSettings
from serve.telemetry.metrics.feedback import BINS, FeedbackMetrics
from serve.telemetry.recent_decisions import Recent

LONGEST_COMMENT: Final = 4000  # characters
UNKNOWN: Final = "unknown"
"""The expert label where nobody remembers the response."""

_RESPONSE_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_CHOSEN_BY_ROUTER: Final = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})
_PRUNE_EVERY: Final = 1000  # inserts
_COLUMNS: Final = ("id", "at", "response_id", "rating", "better_expert", "comment", "expert")
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
    router_version TEXT
)
"""


@dataclass(frozen=True, slots=True)
class Feedback:
    """One opinion of one response; `rating` in [-1, 1]."""

    response_id: str
    rating: float
    better_expert: str | None = None
    comment: str | None = None


class FeedbackBook:
    """Takes feedback in. Opened at the first one: a gateway that gets none writes no file."""

    def __init__(
        self,
        settings: FeedbackSettings,
        recent: Recent,
        metrics: FeedbackMetrics,
        experts: Collection[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._recent = recent
        self._metrics = metrics
        self._experts = experts
        self._clock = clock
        self._calibration = _Calibration()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._store: _Store | None = None

    async def take(self, feedback: Feedback) -> bool:
        """Store one and count it. Returns whether the response was still remembered.

        Raises:
            InvalidRequest: a field is out of range, or names no expert.
            StorageUnavailable: it could not be written; nothing was counted.
        """
        self._check(feedback)
        decision = self._recent.get(feedback.response_id)
        row = _row(self._clock(), feedback, decision)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._insert, row)
        except (sqlite3.Error, OSError):
            raise StorageUnavailable("feedback cannot be stored; retry later") from None
        self._count(feedback, decision)
        return decision is not None

    def close(self) -> None:
        """Finish what is being written, close the file."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _check(self, feedback: Feedback) -> None:
        if not _RESPONSE_ID.fullmatch(feedback.response_id):
            raise InvalidRequest("'response_id' must be the id of a response", param="response_id")
        if not -1 <= feedback.rating <= 1:  # NaN is not either
            raise InvalidRequest("'rating' must be between -1 and 1", param="rating")
        if feedback.better_expert is not None and feedback.better_expert not in self._experts:
            raise InvalidRequest("'better_expert' names no expert", param="better_expert")
        if feedback.comment is not None and len(feedback.comment) > LONGEST_COMMENT:
            raise InvalidRequest(f"'comment' is longer than {LONGEST_COMMENT} characters", param="comment")

    def _insert(self, row: tuple[object, ...]) -> None:
        if self._store is None:
            self._store = _Store(self._settings.path or default_path(), self._settings.max_rows)
        self._store.insert(row)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _count(self, feedback: Feedback, decision: RouteDecision | None) -> None:
        expert = decision.expert if decision else UNKNOWN
        verdict = "good" if feedback.rating > 0 else "bad" if feedback.rating < 0 else "neutral"
        self._metrics.ratings.labels(expert, verdict).inc()
        if feedback.better_expert is not None:
            self._metrics.better.labels(expert, feedback.better_expert).inc()
        if decision is not None and decision.reason in _CHOSEN_BY_ROUTER and verdict != "neutral":
            place = self._calibration.rated(decision.confidence, is_good=verdict == "good")
            self._metrics.calibration.labels(str(place), verdict).inc()
            self._metrics.ece.set(self._calibration.error)


class _Calibration:
    """Expected calibration error, by tenths of confidence: mean |share of good ones - mean confidence|, weighted."""

    def __init__(self) -> None:
        self._count: Counter[int] = Counter()
        self._good: Counter[int] = Counter()
        self._confidence: dict[int, float] = {}

    def rated(self, confidence: float, *, is_good: bool) -> int:
        """Take one in; returns its bin."""
        place = min(int(confidence * BINS), BINS - 1)
        self._count[place] += 1
        self._good[place] += is_good
        self._confidence[place] = self._confidence.get(place, 0.0) + confidence
        return place

    @property
    def error(self) -> float:
        """The error so far, 0..1."""
        return sum(abs(self._good[p] - self._confidence[p]) for p in self._count) / max(1, self._count.total())


class _Store:
    """The file. All on one thread."""

    def __init__(self, path: Path, max_rows: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._rows = max_rows
        self._inserts = 0
        self._database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._refuse_others()  # before anything is written: rows beyond the bound are deleted
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")  # on disk before it is acknowledged
        self._database.execute(_SCHEMA)

    def _refuse_others(self) -> None:
        """See that the file is new, or holds our table.

        Raises:
            sqlite3.DatabaseError: it is another program's.
        """
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = [row[1] for row in self._database.execute("PRAGMA table_info(feedback)")]
        if tables and not set(_COLUMNS) <= set(columns):
            self._database.close()
            raise sqlite3.DatabaseError("feedback.path is a database of something else")

    def insert(self, row: tuple[object, ...]) -> None:
        """Write one; now and then drop what is beyond the bound, the oldest first."""
        if self._inserts % _PRUNE_EVERY == 0:
            self._database.execute("DELETE FROM feedback WHERE id <= (SELECT max(id) FROM feedback) - ?", (self._rows,))
        self._database.execute(f"INSERT INTO feedback VALUES (NULL{', ?' * len(row)})", row)
        self._inserts += 1

    def close(self) -> None:
        """Close it."""
        self._database.close()


def _row(at: float, feedback: Feedback, decision: RouteDecision | None) -> tuple[object, ...]:
    decided: tuple[object, ...] = (None,) * 5
    if decision is not None:
        decided = (
            decision.expert,
            decision.reason.value,
            decision.confidence,
            decision.propensity,
            decision.router_version,
        )
    return (at, feedback.response_id, feedback.rating, feedback.better_expert, feedback.comment, *decided)


def default_path() -> Path:
    """Where feedback is kept unless a setting says so."""
    return state_folder() / "feedback.sqlite3"
