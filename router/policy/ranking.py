"""From a request to a ranked decision, whoever judges it: the one way that every router takes.

`router.Router` ranks by its network's probabilities, `rules.RuleRouter` by a rule's. Pins, prices, health,
conversations, suspicion and exploration work the same for both, because they are here and in `decide`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from router.decision import Reason, RouteDecision
from router.features.featurize import RouteQuery, is_suspected
from router.features.tokens import estimate_tokens
from router.policy.decide import ExpertState, Policy, RoutingPreferences, decide
from router.policy.explore import Exploration
from router.policy.objective import NO_PREFERENCES
from router.policy.sticky import Previous, anchor, inertia_of

Judge = Callable[[RouteQuery, Sequence[str]], Mapping[str, float]]
"""From a request and the experts' names to the probability, in [0, 1], that each serves it well; missing = 0."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """A judge and the settings of a decision.

    Attributes:
        judge: says who serves a request well.
        version: its name, as logs, metrics and `x-moegate-*` headers tell it.
        policy: the settings of a decision.
        exploration: draws another expert now and then; None = never.
        follows_conversations: the judge is asked again about an earlier turn, to know who answered it. False where
            the same words do not always get the same expert; then only the caller can say who answered.
    """

    judge: Judge
    version: str
    policy: Policy
    exploration: Exploration | None = None
    follows_conversations: bool = True

    def rank(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts for one query; a conversation that stays with its expert is not explored.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        prompt_tokens = estimate_tokens(turn.text for turn in query.turns) + query.documents.tokens
        previous = None if pinned is not None else self._previous(query, states, preferences)
        decision = decide(
            self.judge(query, [state.name for state in states]),
            states,
            self.policy,
            prompt_tokens=prompt_tokens,
            router_version=self.version,
            pinned=pinned,
            preferences=preferences,
            previous=previous,
            is_suspected=is_suspected(query),
        )
        stays = previous is not None and decision.expert == previous.expert
        if self.exploration is None or stays:
            return decision
        return self.exploration.explore(decision, states, prompt_tokens)

    def _previous(
        self, query: RouteQuery, states: Sequence[ExpertState], preferences: RoutingPreferences
    ) -> Previous | None:
        """Find who answered the conversation so far: whom the caller names, or whom its last whole turn would go to.

        An earlier turn that the judge was unsure of holds nobody.
        """
        if preferences.previous_expert is not None:
            return Previous(preferences.previous_expert, inertia_of(query))
        earlier = anchor(query) if self.follows_conversations else None
        if earlier is None:
            return None
        found = self.judge(earlier, [state.name for state in states])
        decision = decide(found, states, self.policy, prompt_tokens=0, router_version="", preferences=preferences)
        return None if decision.reason is Reason.ABSTAINED else Previous(decision.expert, inertia_of(query))
