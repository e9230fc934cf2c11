"""A router without an artefact: any function from a request to probabilities, ranked as the learned router ranks.

`serve.routing.kinds` makes one for each `router.kind` that is not learned. Pins, health, context windows, prices,
the knob and conversations work as they do with the learned router, because `ranking` is the same.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from router.decision import Coverage, RouteDecision
from router.errors import ArtifactError
from router.features.featurize import RouteQuery
from router.model.artifact import Artifact
from router.model.gate import Gate
from router.policy.decide import ExpertState, Policy, RoutingPreferences
from router.policy.explore import Exploration
from router.policy.objective import NO_PREFERENCES
from router.policy.ranking import Judge, Ranking


@dataclass(frozen=True, slots=True)
class RuleRouter:
    """Ranks the experts by what a judge says of them.

    Attributes:
        judge: the rule.
        version: its name, as logs, metrics and `x-moegate-*` headers tell it.
        policy: the settings of a decision.
        exploration: draws another expert now and then; None = never.
        follows_conversations: as `Ranking` says.
        clock: seconds, monotonic; measures `route_s`.
    """

    judge: Judge
    version: str
    policy: Policy
    exploration: Exploration | None = None
    follows_conversations: bool = True
    clock: Callable[[], float] = time.perf_counter

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts for one query.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        started = self.clock()
        ranking = Ranking(self.judge, self.version, self.policy, self.exploration, self.follows_conversations)
        decision = ranking.rank(query, states, pinned, preferences)
        return decision._replace(route_s=self.clock() - started)

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """Find no gap: a rule was trained on nobody."""
        return Coverage()

    @property
    def training_mix(self) -> dict[str, float]:
        """Share of the training rows by expert: empty, because nothing was trained."""
        return {}

    @property
    def gate(self) -> Gate | None:
        """The network whose features an explanation could name: none."""
        return None

    def changed_artifact(self) -> Artifact | None:
        """Return None: a rule has no file that could change."""
        return None

    def take_up(self, artifact: Artifact) -> None:
        """Refuse.

        Raises:
            ArtifactError: always.
        """
        raise ArtifactError(f"the router {self.version!r} takes no artefact")


def uniform(query: RouteQuery, experts: Sequence[str]) -> Mapping[str, float]:
    """Give every expert the same probability."""
    return dict.fromkeys(experts, 1.0 / max(1, len(experts)))


def random_router(default_expert: str, generator: random.Random) -> RuleRouter:
    """Draw one of the experts that could answer; each has the same chance, which the decision's propensity tells.

    This is exploration with ε = 1, so `router.evaluation.offpolicy` can judge other routers by its log. Tools and words
    do not matter to it.
    """
    draw = Exploration(1.0, generator)
    return RuleRouter(uniform, "random", Policy(default_expert, 0.0), draw, follows_conversations=False)
