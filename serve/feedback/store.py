"""Ratings of answers: stored, counted by expert and verdict, compared with the confidence.

Both doors hand it a `Feedback`. It is on disk before it is acknowledged; a thread writes it, not the event loop. A
comment is stored and goes nowhere else: no metric, no log. Only the key that got an answer may rate it, or an
operator's; its last opinion is the one that counts.
"""

import asyncio
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from router.decision import Reason, RouteDecision
from serve.access.response_ids import is_of
from serve.errors import InvalidRequest, StorageUnavailable, UnknownResponse
from serve.feedback.object_ratings import ObjectRatings
from serve.feedback.rating import Rating, RatingsFailed, RatingStore
from serve.feedback.sqlite_ratings import SqliteRatings
from serve.request import ANYONE, Caller
from serve.settings.state_folder import state_folder
from serve.settings.tree import FeedbackSettings
from serve.telemetry.metrics.feedback import BINS, FeedbackMetrics
from serve.telemetry.recent_decisions import Recent

log = logging.getLogger("moegate.feedback")

LONGEST_COMMENT: Final = 4000  # characters
LONGEST_CORRECTION: Final = 32_000  # likewise
UNKNOWN: Final = "unknown"
"""The expert label where nobody remembers the response."""

_SAY_AGAIN_S: Final = 60.0
_RESPONSE_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_CHOSEN_BY_ROUTER: Final = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})


@dataclass(frozen=True, slots=True)
class Feedback:
    """One opinion of one response; `rating` in [-1, 1]."""

    response_id: str
    rating: float
    better_expert: str | None = None
    comment: str | None = None
    correction: str | None = None


class FeedbackBook:
    """Takes feedback in. Opened at the first one: a gateway that gets none writes no file."""

    def __init__(
        self,
        settings: FeedbackSettings,
        recent: Recent,
        metrics: FeedbackMetrics,
        experts: Collection[str],
        *,
        on_rating: Callable[[str, RouteDecision, float], None] | None = None,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_rating` hears of each key's first rating of an answer of this process: id, decision, rating.

        `redact` takes out of a correction what may not be kept; it runs in the thread that writes.
        """
        self._settings = settings
        self._recent = recent
        self._metrics = metrics
        self._experts = experts
        self._on_rating = on_rating
        self._redact = redact
        self._clock = clock
        self._calibration = _Calibration()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._store: RatingStore | None = None
        self._told_at = -math.inf

    async def take(self, feedback: Feedback, caller: Caller = ANYONE) -> bool:
        """Store one and count it, once a key and answer. Returns whether some moegate has given that answer.

        Raises:
            InvalidRequest: a field is out of range, or names no expert.
            UnknownResponse: it is no answer to this key, which is no operator's.
            StorageUnavailable: it could not be written; nothing was counted.
        """
        self._check(feedback)
        is_its_own = is_of(feedback.response_id, caller.name)
        if caller.name and not (is_its_own or caller.is_operator):
            raise UnknownResponse("'response_id' names no answer to this key", param="response_id")
        decision = self._recent.get(feedback.response_id)
        rating = Rating.of(self._clock(), caller.name, decision, **asdict(feedback))
        try:
            is_first = await asyncio.get_running_loop().run_in_executor(self._thread, self._put, rating)
        except RatingsFailed as error:
            self._tell(error)
            raise StorageUnavailable("feedback cannot be stored; retry later") from None
        if is_first:
            self._count(feedback, decision)
            if decision is not None and self._on_rating is not None:
                self._on_rating(feedback.response_id, decision, feedback.rating)
        return decision is not None or is_its_own

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
        if feedback.correction is not None and len(feedback.correction) > LONGEST_CORRECTION:
            raise InvalidRequest(f"'correction' is longer than {LONGEST_CORRECTION} characters", param="correction")

    def _put(self, rating: Rating) -> bool:
        if self._store is None:
            self._store = open_ratings(self._settings)
        if rating.correction is not None:
            rating = replace(rating, correction=self._redact(rating.correction))
        return self._store.put(rating)

    def _tell(self, error: RatingsFailed) -> None:
        """Say that ratings are lost, now and then: clients are told each time, operators would not hear of it."""
        now = self._clock()
        if now - self._told_at >= _SAY_AGAIN_S:
            self._told_at = now
            log.warning("feedback cannot be stored", extra={"reason": str(error)})

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


def open_ratings(settings: FeedbackSettings) -> RatingStore:
    """Open the place that the settings name.

    Raises:
        RatingsFailed: it cannot be used.
    """
    if settings.target is not None:
        return ObjectRatings(settings.target)
    return SqliteRatings(settings.path or default_path(), settings.max_rows)


def default_path() -> Path:
    """Where feedback is kept unless a setting says so."""
    return state_folder() / "feedback.sqlite3"
