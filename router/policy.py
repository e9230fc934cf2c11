"""From probabilities to a ranking of all experts: a pure function, no clock, no state.

`router.Router` calls `decide` after the gate has spoken. Order of concerns: a pin wins; an unsure gate gives way to the
default expert; experts that cannot hold the prompt, and experts that are down, move behind those that can answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.decision import Candidate, Reason, RouteDecision
from router.errors import NoExpertsError, UnknownExpertError

TIE_DIGITS = 2  # probabilities equal to this many digits are a tie, settled by queue, then price


@dataclass(frozen=True, slots=True)
class ExpertState:
    """What is known of one expert right now.

    Attributes:
        name: the expert, as the catalogue names it.
        context_window: tokens its engine can hold, prompt and answer together.
        healthy: it can take a request.
        queue_len: sequences waiting in its engine, as last reported.
        max_batch_size: sequences it runs at once; 0 counts as 1.
        usd_per_million_tokens: its price.
    """

    name: str
    context_window: int
    healthy: bool
    queue_len: int
    max_batch_size: int
    usd_per_million_tokens: float


@dataclass(frozen=True, slots=True)
class Policy:
    """The few settings of a decision: who answers when the gate is unsure, and what unsure means (a probability)."""

    default_expert: str
    abstain_below: float


def decide(
    probabilities: Mapping[str, float],
    states: Sequence[ExpertState],
    policy: Policy,
    *,
    prompt_tokens: int,
    router_version: str,
    pinned: str | None = None,
) -> RouteDecision:
    """Rank every expert in `states`; an expert the gate was not trained on counts as probability 0.

    Args:
        probabilities: calibrated, in [0, 1], by expert.
        states: the catalogue, as it is now; names are unique.
        policy: the default expert and the abstention threshold.
        prompt_tokens: an estimate that may be low and must not be high (see `tokens.estimate_tokens`).
        router_version: passed through.
        pinned: the expert the caller named; it stays first even when it is down or too small, so that the caller gets
            that expert's own answer or error.

    Raises:
        NoExpertsError: `states` is empty.
        UnknownExpertError: `pinned` is not among `states`.
    """
    if not states:
        raise NoExpertsError("the catalogue holds no expert")
    liked = sorted(states, key=lambda state: _preference(state, probabilities))
    reason = Reason.CLASSIFIED
    if pinned is not None:
        liked, reason = _first(liked, pinned), Reason.PINNED
        if liked[0].name != pinned:
            raise UnknownExpertError("the pinned expert is not in the catalogue")
    elif probabilities.get(liked[0].name, 0.0) < policy.abstain_below:
        liked, reason = _first(liked, policy.default_expert), Reason.ABSTAINED
    able = sorted(liked, key=lambda state: _hindrance(state, prompt_tokens))  # stable: keeps the order among equals
    if pinned is not None:
        able = _first(able, pinned)
    elif able[0] is not liked[0]:
        reason = Reason.OVER_CONTEXT if liked[0].healthy else Reason.UNHEALTHY
    ranking = tuple(Candidate(state.name, probabilities.get(state.name, 0.0)) for state in able)
    return RouteDecision(ranking, reason, ranking[0].probability, router_version, route_s=0.0)


def _preference(state: ExpertState, probabilities: Mapping[str, float]) -> tuple[float, float, float, str]:
    """Order by probability, then by queue in batches, then by price; the name makes it total."""
    pressure = state.queue_len / max(1, state.max_batch_size)
    probability = round(probabilities.get(state.name, 0.0), TIE_DIGITS)
    return (-probability, pressure, state.usd_per_million_tokens, state.name)


def _hindrance(state: ExpertState, prompt_tokens: int) -> int:
    """Say how far behind an expert belongs: 0 able, 1 too small for the prompt, 2 down, 3 both."""
    return (0 if prompt_tokens < state.context_window else 1) + (0 if state.healthy else 2)


def _first(states: Sequence[ExpertState], name: str) -> list[ExpertState]:
    """Move the named expert to the front, leaving the others in order; no change if it is not there."""
    return sorted(states, key=lambda state: state.name != name)
