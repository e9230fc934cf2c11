"""Exploration: tries another expert now and then, with a recorded probability (ε-greedy).

`router.Router` has an `Exploration` only if the operator asks for one. `offpolicy` divides by the propensity that it
leaves in the decision.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from router.decision import Reason, RouteDecision
from router.policy.decide import hindrance
from router.policy.objective import ExpertState

_FREE = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})


@dataclass(frozen=True, slots=True)
class Exploration:
    """ε and the generator to draw from; its seed is the owner's."""

    epsilon: float
    generator: random.Random

    def explore(self, decision: RouteDecision, states: Sequence[ExpertState], prompt_tokens: int) -> RouteDecision:
        """Keep the choice with probability 1 - ε + ε/K, else draw one of the other K - 1 experts that could answer.

        A pin, a conversation that stays, and a choice made for health or size are kept as they are, propensity 1. The
        reason stays that of the choice that was not explored.
        """
        able = {state.name for state in states if hindrance(state, prompt_tokens) == 0}
        if decision.reason not in _FREE or decision.expert not in able:
            return decision
        chances = propensities(decision.expert, sorted(able), self.epsilon)
        drawn = self.generator.choices(list(chances), weights=list(chances.values()))[0]
        chosen = next(one for one in decision.ranking if one.expert == drawn)
        rest = tuple(one for one in decision.ranking if one is not chosen)
        return decision._replace(
            ranking=(chosen, *rest),
            confidence=chosen.probability,
            propensity=chances[drawn],
            chances=chances if self.epsilon else None,
        )


def propensities(greedy: str, able: Sequence[str], epsilon: float) -> dict[str, float]:
    """Return each able expert's probability of being chosen, in the order given; they sum to 1."""
    share = epsilon / len(able)
    return {name: (1.0 - epsilon if name == greedy else 0.0) + share for name in able}
