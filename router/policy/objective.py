"""The value of a choice: expected quality - λ·cost - μ·P(first token later than the caller wants).

`policy.decide` ranks by it. Quality is the gate's calibrated probability. Cost is the price of the estimated prompt and
of the answer that such a request usually gets. Lateness comes from the expert's latest times and its queue. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from router.policy.cost_knob import Knob
from router.policy.estimates import ExpertEstimate

QUALITY_DIGITS = 2  # probabilities equal to this many digits are a tie, settled by queue, then price
PROMPT_SCALE = 1.47  # `tokens.estimate_tokens` is a lower bound; its median is 0.68 of the count (CARD.md)
UNKNOWN = ExpertEstimate()
DEFAULT_KNOB = Knob()
DEFAULT_COMPLETION_TOKENS = 200.0  # of an expert nobody has heard of yet


class ExpertState(NamedTuple):
    """The current state of one expert.

    Attributes:
        name: the expert, as the catalogue names it.
        context_window: tokens its engine can hold, prompt and answer together.
        healthy: it can take a request.
        queue_len: sequences in its engine, running and waiting, as last known.
        max_batch_size: sequences it runs at once; 0 counts as 1.
        usd_per_million_tokens: price of completion tokens.
        usd_per_million_prompt_tokens: price of prompt tokens.
        estimate: what its answers were lately like.
        at_least: the probability, in [0, 1], that it counts with at least: it is known to be good at the form that the
            answer is to have, of which the words say nothing.
    """

    name: str
    context_window: int
    healthy: bool
    queue_len: int
    max_batch_size: int
    usd_per_million_tokens: float
    usd_per_million_prompt_tokens: float = 0.0
    estimate: ExpertEstimate = UNKNOWN
    at_least: float = 0.0


@dataclass(frozen=True, slots=True)
class RoutingPreferences:
    """What a caller wants besides a good answer.

    Attributes:
        quality_cost: the knob in [0, 1]: 0 is quality alone, 1 gives up most quality for price.
        ttft_target_s: seconds from now until the first token should be there; None = no wish.
        max_tokens: most completion tokens the caller will take; None = no limit.
        previous_expert: who answered the conversation's last turn, where the caller says so.
        now: the clock by which estimates are dated, seconds.
    """

    quality_cost: float = 0.0
    ttft_target_s: float | None = None
    max_tokens: int | None = None
    previous_expert: str | None = None
    now: float = 0.0


NO_PREFERENCES = RoutingPreferences()


@dataclass(frozen=True, slots=True)
class Objective:
    """The exchange rates: λ through the knob, and μ, the quality a certainly late answer is worth less."""

    knob: Knob = DEFAULT_KNOB
    late_weight: float = 0.5

    def utilities(
        self,
        probabilities: Mapping[str, float],
        states: Sequence[ExpertState],
        preferences: RoutingPreferences,
        prompt_tokens: int,
    ) -> dict[str, float]:
        """Return each expert's worth for one request.

        Cost counts from the cheapest expert up, so that equal prices leave every worth exactly as it was.
        """
        price_of_cost = self.knob.price_of_cost(preferences.quality_cost)
        costs = self._costs(probabilities, states, preferences, prompt_tokens) if price_of_cost else {}
        found = {}
        for state in states:
            worth = round(probabilities.get(state.name, 0.0), QUALITY_DIGITS)
            if costs:
                worth -= price_of_cost * costs[state.name]
            if preferences.ttft_target_s is not None:
                worth -= self.late_weight * _p_late(state, preferences.ttft_target_s, preferences.now)
            found[state.name] = worth
        return found

    def _costs(
        self,
        probabilities: Mapping[str, float],
        states: Sequence[ExpertState],
        preferences: RoutingPreferences,
        prompt_tokens: int,
    ) -> dict[str, float]:
        """Return what each expert costs above the cheapest, in reference answers."""
        completion = expected_completion_tokens(probabilities, states)
        if preferences.max_tokens is not None:
            completion = min(completion, float(preferences.max_tokens))
        usd = {state.name: usd_of(state, prompt_tokens * PROMPT_SCALE, completion) for state in states}
        unit = max(usd_of(state, self.knob.prompt_tokens, self.knob.completion_tokens) for state in states)
        cheapest = min(usd.values())
        return {name: (cost - cheapest) / unit if unit > 0 else 0.0 for name, cost in usd.items()}


def expected_completion_tokens(probabilities: Mapping[str, float], states: Sequence[ExpertState]) -> float:
    """Expect the length of the answer: every expert's usual length, weighted by how likely it is the right one.

    The length belongs to the request (code is long, small talk short), not to who happens to answer it: otherwise an
    expert would look cheap only because the requests it usually gets have short answers.
    """
    lengths = [
        state.estimate.completion_tokens.mean if state.estimate.completion_tokens.count else DEFAULT_COMPLETION_TOKENS
        for state in states
    ]
    weights = [probabilities.get(state.name, 0.0) for state in states]
    total = sum(weights)
    if total <= 0:
        return sum(lengths) / len(lengths)
    return sum(weight * length for weight, length in zip(weights, lengths, strict=True)) / total


def usd_of(state: ExpertState, prompt_tokens: float, completion_tokens: float) -> float:
    """Price a request of so many tokens, USD."""
    prompt_usd = prompt_tokens * state.usd_per_million_prompt_tokens
    return (prompt_usd + completion_tokens * state.usd_per_million_tokens) / 1e6


def _p_late(state: ExpertState, target_s: float, now: float) -> float:
    return state.estimate.p_late(target_s, queue_len=state.queue_len, max_batch_size=state.max_batch_size, now=now)
