"""What somebody thinks of an answer, as it is stored, and what stores it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from router.decision import RouteDecision


@dataclass(frozen=True, slots=True)
class Rating:
    """One opinion of one answer; a key has one of each answer, its last.

    Attributes:
        at: seconds since 1970.
        response_id: the answer.
        key: whose opinion: the API key's name; empty without keys.
        rating: -1..1.
        better_expert: who should have answered, if that was said.
        comment: words of the rater; they go nowhere else.
        expert: who answered, where the process that took the rating in still knew; so are the rest.
        reason: why it was that one.
        confidence: the decision's.
        propensity: likewise.
        router_version: likewise.
        correction: what the answer should have been, redacted, if that was said.
    """

    at: float
    response_id: str
    key: str
    rating: float
    better_expert: str | None = None
    comment: str | None = None
    expert: str | None = None
    reason: str | None = None
    confidence: float | None = None
    propensity: float | None = None
    router_version: str | None = None
    correction: str | None = None

    @classmethod
    def of(
        cls,
        at: float,
        key: str,
        decision: RouteDecision | None,
        *,
        response_id: str,
        rating: float,
        better_expert: str | None,
        comment: str | None,
        correction: str | None,
    ) -> "Rating":
        """Make one, beside the decision where that is known."""
        said = (at, response_id, key, rating, better_expert, comment)
        if decision is None:
            return cls(*said, correction=correction)
        decided = (decision.confidence, decision.propensity, decision.router_version)
        return cls(*said, decision.expert, decision.reason.value, *decided, correction)


class RatingsFailed(Exception):
    """The store did not do what it was asked to."""


class RatingStore(Protocol):
    """Keeps ratings. All calls come from one thread."""

    def put(self, rating: Rating) -> bool:
        """Keep one, in place of what the same key thought of the same answer; it is on disk when this returns.

        Returns whether it is the first.

        Raises:
            RatingsFailed: it is not kept.
        """
        ...

    def ratings(self) -> Iterator[Rating]:
        """All of them.

        Raises:
            RatingsFailed: they cannot be read.
        """
        ...

    def forget(self, *, key: str | None = None, response_id: str | None = None) -> int:
        """Delete a key's ratings, or an answer's; returns how many.

        Raises:
            RatingsFailed: not all are deleted; doing it again is safe.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...
