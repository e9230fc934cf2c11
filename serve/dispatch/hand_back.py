"""What becomes of a request that an expert hands back because none of its tools fits: the words alone decide anew.

The router's first ranking leans towards the tools, so it does not say who should answer without them. `serve.dispatch`
asks for a second one when an expert has handed back, and only then.
"""

from collections.abc import Callable, Sequence

from router.decision import Candidate, Reason, RouteDecision
from router.policy.decide import ExpertState

DecideAgain = Callable[[str], RouteDecision]
"""Decides a request by its words, after the expert of that name has handed it back."""


def handed_back_by(expert: str, decision: RouteDecision, states: Sequence[ExpertState]) -> RouteDecision:
    """Return a decision made by the words, with the expert that handed back in its place: the last resort.

    It comes behind everybody who is well. Asked once more, without leave to hand back, it says so in words.
    """
    well = {state.name for state in states if state.healthy}
    others = [candidate for candidate in decision.ranking if candidate.expert != expert]
    able = [candidate for candidate in others if candidate.expert in well]
    down = [candidate for candidate in others if candidate.expert not in well]
    ranking = (*able, Candidate(expert, 0.0), *down)
    reason = Reason.HANDED_BACK if able else Reason.UNHEALTHY
    return decision._replace(ranking=ranking, reason=reason, confidence=ranking[0].probability)
