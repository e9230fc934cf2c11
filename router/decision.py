"""What the router answers with: a ranking of experts and why it looks like that.

Made by `policy.decide`, carried by the gateway to dispatch, headers, metrics and logs. Holds names and numbers only,
never text, so it may be logged whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why the first expert is first: a closed set, safe as a metric label."""

    CLASSIFIED = "classified"  # the gate was sure enough
    PINNED = "pinned"  # the caller named the expert
    ABSTAINED = "abstained"  # the gate was not sure enough; the default expert answers
    OVER_CONTEXT = "over_context"  # the best expert cannot hold the prompt
    UNHEALTHY = "unhealthy"  # the best expert is down
    STICKY = "sticky"  # the conversation stays where it was
    FALLBACK = "fallback"  # an earlier candidate failed before its first token
    HANDED_BACK = "handed_back"  # no tool fitted, said the expert that was asked first; the words alone decided


class Candidate(NamedTuple):
    """One expert and the calibrated probability, in [0, 1], that it serves this request well."""

    expert: str
    probability: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """How the catalogue's experts and those that a router was trained on match.

    Attributes:
        unknown_experts: the router does not know them; their probability is always 0.
        classes_without_expert: it knows them, and the catalogue does not; their requests go to the next best expert.
    """

    unknown_experts: tuple[str, ...] = ()
    classes_without_expert: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Say whether they match."""
        return not (self.unknown_experts or self.classes_without_expert)


class RouteDecision(NamedTuple):
    """Every expert exactly once, best first.

    Attributes:
        ranking: the order in which dispatch may try the experts; never empty.
        reason: why `ranking[0]` is first.
        confidence: the first candidate's probability, in [0, 1].
        router_version: content hash of the artefact that decided.
        route_s: seconds spent deciding, by the router's own clock.
        propensity: probability with which this choice was drawn, exploration and a canary's share together; 1.0 where
            nothing was drawn.
        chances: the same of every expert that could have been drawn; None where nothing was.
    """

    ranking: tuple[Candidate, ...]
    reason: Reason
    confidence: float
    router_version: str
    route_s: float
    propensity: float = 1.0
    chances: Mapping[str, float] | None = None

    @property
    def expert(self) -> str:
        """Name the expert that should answer."""
        return self.ranking[0].expert

    def fallback_to(self, index: int) -> "RouteDecision":
        """Return the decision as answered by candidate `index` >= 1, after the ones before it failed.

        Raises:
            IndexError: `index` is 0, negative, or past the last candidate.
        """
        if not 1 <= index < len(self.ranking):
            raise IndexError(f"no fallback candidate {index} among {len(self.ranking)}")
        chosen = self.ranking[index]
        rest = self.ranking[:index] + self.ranking[index + 1 :]
        return self._replace(ranking=(chosen, *rest), reason=Reason.FALLBACK, confidence=chosen.probability)
