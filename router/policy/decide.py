"""From probabilities to a ranking of all experts: a pure function, no clock, no state.

`router.Router` calls `decide` after the gate. The order of concerns: a pin wins; then the value of each choice counts
(`objective`), where an expert of the form that is asked for has its least probability or more; an unsure gate gives way
to the conversation's expert or the default one; a conversation moves only for a clear gain; experts that cannot hold
the prompt or are down move behind those that can answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.decision import Candidate, Reason, RouteDecision
from router.errors import NoExpertsError, UnknownExpertError
from router.policy.objective import NO_PREFERENCES, QUALITY_DIGITS, ExpertState, Objective, RoutingPreferences
from router.policy.sticky import Previous

__all__ = ["ExpertState", "Policy", "RoutingPreferences", "decide"]

DEFAULT_OBJECTIVE = Objective()


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a decision.

    Attributes:
        default_expert: who answers when the gate is unsure.
        abstain_below: what unsure means: the highest probability is below this.
        objective: what cost and lateness are worth.
        switch_gain: worth that another expert must add before a conversation moves to it
        (`router.evaluation.switching`: the most
            that costs follow-ups and changes of subject nothing that 1,328 conversations could show).
    """

    default_expert: str
    abstain_below: float
    objective: Objective = DEFAULT_OBJECTIVE
    switch_gain: float = 0.02


def decide(
    probabilities: Mapping[str, float],
    states: Sequence[ExpertState],
    policy: Policy,
    *,
    prompt_tokens: int,
    router_version: str,
    pinned: str | None = None,
    preferences: RoutingPreferences = NO_PREFERENCES,
    previous: Previous | None = None,
    is_suspected: bool = False,
) -> RouteDecision:
    """Rank every expert in `states`; an expert the gate was not trained on counts as probability 0.

    Args:
        probabilities: calibrated, in [0, 1], by expert.
        states: the catalogue, as it is now; names are unique.
        policy: the settings.
        prompt_tokens: an estimate that may be low and must not be high (see `tokens.estimate_tokens`).
        router_version: passed through.
        pinned: the expert the caller named; it stays first even when it is down or too small, so that the caller gets
            that expert's own answer or error.
        preferences: the caller's knob and latency target.
        previous: who answered the conversation so far, if it is one.
        is_suspected: the request may be a jailbreak: then neither doubt nor its wrapper brings it to the default
            expert, the cheapest, as long as another can answer it at all.

    Raises:
        NoExpertsError: `states` is empty.
        UnknownExpertError: `pinned` is not among `states`.
    """
    if not states:
        raise NoExpertsError("the catalogue holds no expert")
    probabilities = {
        state.name: probabilities.get(state.name, 0.0)
        if state.at_least == 0.0
        else max(state.at_least, probabilities.get(state.name, 0.0))
        for state in states
    }
    worth = policy.objective.utilities(probabilities, states, preferences, prompt_tokens)
    liked = sorted(states, key=lambda state: _preference(state, probabilities, worth))
    if pinned is not None:
        liked, reason = _first(liked, pinned), Reason.PINNED
        if liked[0].name != pinned:
            raise UnknownExpertError("the pinned expert is not in the catalogue")
    else:
        is_unsure = max(probabilities.values()) < policy.abstain_below
        name, reason = _choose(liked, worth, policy, is_unsure=is_unsure, previous=previous)
        liked = _first(liked, name)
    able = sorted(liked, key=lambda state: hindrance(state, prompt_tokens))  # stable: keeps the order among equals
    if pinned is not None:
        able = _first(able, pinned)
    elif able[0] is not liked[0]:
        reason = Reason.OVER_CONTEXT if liked[0].healthy else Reason.UNHEALTHY
    if is_suspected and pinned is None and able[0].name == policy.default_expert:
        able = _not_lowered(able, probabilities, prompt_tokens)
        reason = reason if able[0].name == policy.default_expert else Reason.CLASSIFIED
    ranking = tuple([Candidate(state.name, probabilities[state.name]) for state in able])
    return RouteDecision(ranking, reason, ranking[0].probability, router_version, route_s=0.0)


def _choose(
    liked: Sequence[ExpertState],
    worth: Mapping[str, float],
    policy: Policy,
    *,
    is_unsure: bool,
    previous: Previous | None,
) -> tuple[str, Reason]:
    """Name who should answer, health and size aside, and why."""
    best = liked[0].name
    if previous is not None and previous.expert in worth and (previous.expert != best or is_unsure):
        gain = worth[best] - worth[previous.expert]
        if is_unsure or gain <= policy.switch_gain * previous.inertia:
            return previous.expert, Reason.STICKY
    return (policy.default_expert, Reason.ABSTAINED) if is_unsure else (best, Reason.CLASSIFIED)


def _not_lowered(
    states: Sequence[ExpertState], probabilities: Mapping[str, float], prompt_tokens: int
) -> list[ExpertState]:
    """Move the next one forward that can answer and is not ruled out; no change where none can."""
    able = (state.name for state in states[1:] if hindrance(state, prompt_tokens) == 0)
    return _first(states, next((name for name in able if probabilities.get(name, 0.0) > 0.0), states[0].name))


def _preference(
    state: ExpertState, probabilities: Mapping[str, float], worth: Mapping[str, float]
) -> tuple[bool, float, float, float, str]:
    """Order by worth, then by queue in batches, then by price; the name makes it total.

    An expert whose probability rounds to 0 is ruled out: no price brings it before one that is not.
    """
    pressure = state.queue_len / max(1, state.max_batch_size)
    is_ruled_out = round(probabilities[state.name], QUALITY_DIGITS) <= 0.0
    return is_ruled_out, -worth[state.name], pressure, state.usd_per_million_tokens, state.name


def hindrance(state: ExpertState, prompt_tokens: int) -> int:
    """Say how far behind an expert belongs: 0 able, 1 too small for the prompt, 2 down, 3 both."""
    return (0 if prompt_tokens < state.context_window else 1) + (0 if state.healthy else 2)


def _first(states: Sequence[ExpertState], name: str) -> list[ExpertState]:
    """Move the named expert to the front, leaving the others in order; no change if it is not there."""
    if states[0].name == name:
        return list(states)
    return sorted(states, key=lambda state: state.name != name)
