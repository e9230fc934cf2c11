"""Two routers in the place of one: the one that serves, and a candidate that decides beside it or for a share.

Unseen (shadow), the candidate decides after the request has gone on its way; a difference is logged by names and
numbers. As a canary it decides for a share of the conversations, by a hash that all turns of one share, and the
decision's propensity is what both routers together would have chosen its expert with. `serve.routing.router_trial` says
who is on trial, and weighs what becomes of either's decisions.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final

from experts.flywheel.history import CANARY, Change
from router.decision import Coverage, Reason, RouteDecision
from router.features.featurize import RouteQuery
from router.model.artifact import Artifact
from router.model.gate import Gate
from router.policy.decide import ExpertState, RoutingPreferences
from router.policy.objective import NO_PREFERENCES
from serve.routing.canary import drawn
from serve.routing.kinds import ServingRouter
from serve.telemetry.logs import log_fault

log = logging.getLogger("moegate.trials")

_INSTRUCTIONS: Final = frozenset({"system"})


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A candidate, and what it gets.

    Attributes:
        router: decides as the candidate would.
        stage: the line of the history that put it where it is.
        stamp: its name among trials.
    """

    router: ServingRouter
    stage: Change
    stamp: str

    @property
    def is_canary(self) -> bool:
        """Whether it decides for somebody; otherwise it decides beside."""
        return self.stage.event == CANARY


class TrialRouter:
    """The router that serves, and beside it or for some of its traffic a candidate.

    Attributes:
        on_trial: the candidate; None where there is none, which costs a look at this.
    """

    def __init__(
        self,
        serving: ServingRouter,
        on_compared: Callable[[OnTrial, str, str], None],
        on_fault: Callable[[OnTrial, bytes], None],
    ) -> None:
        """Take its place.

        Args:
            serving: the router that serves.
            on_compared: hears of the candidate, of whom the serving one chose, and of whom it would have; "" = nobody.
            on_fault: hears of a candidate that cannot decide where it should, and of the conversation.
        """
        self._serving = serving
        self._on_compared = on_compared
        self._on_fault = on_fault
        self.on_trial: OnTrial | None = None

    @property
    def version(self) -> str:
        """The serving one's."""
        return self._serving.version

    @property
    def training_mix(self) -> dict[str, float]:
        """The serving one's."""
        return self._serving.training_mix

    @property
    def gate(self) -> Gate | None:
        """The serving one's."""
        return self._serving.gate

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """The serving one's."""
        return self._serving.coverage(experts)

    def changed_artifact(self) -> Artifact | None:
        """The serving one's."""
        return self._serving.changed_artifact()

    def take_up(self, artifact: Artifact) -> None:
        """Let the serving one take it up."""
        self._serving.take_up(artifact)

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts for one query, by whichever router the conversation is drawn for.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        decision = self._serving.route(query, states, pinned, preferences)
        trial = self.on_trial
        if trial is None or decision.reason is Reason.PINNED:
            return decision
        origin = _origin(query)
        is_drawn = drawn(trial.stamp, origin, trial.stage.share)
        if not trial.is_canary:
            if is_drawn:
                _soon(partial(self._compare, trial, query, states, preferences, decision))
            return decision
        try:
            other = trial.router.route(query, states, None, preferences)
        except Exception as error:  # whatever it is: the router that serves has decided
            log_fault(log, error)
            self._on_fault(trial, origin)
            return decision
        chances = _mixed(decision, other, trial.stage.share)
        chosen = other if is_drawn else decision
        return chosen._replace(propensity=chances[chosen.expert], chances=chances)

    def _compare(
        self,
        trial: OnTrial,
        query: RouteQuery,
        states: Sequence[ExpertState],
        preferences: RoutingPreferences,
        decision: RouteDecision,
    ) -> None:
        """Have the candidate decide unseen."""
        ours = _choice(decision)
        try:
            other = trial.router.route(query, states, None, preferences)
        except Exception as error:  # whatever it is: nobody waits for this
            log_fault(log, error)
            self._on_compared(trial, ours, "")
            return
        theirs = _choice(other)
        self._on_compared(trial, ours, theirs)
        if theirs != ours:
            numbers = {"confidence": round(decision.confidence, 4), "its_confidence": round(other.confidence, 4)}
            facts = {"candidate": trial.stage.digest, "expert": ours, "its_expert": theirs, **numbers}
            log.info("a router on trial would decide otherwise", extra=facts)


def _origin(query: RouteQuery) -> bytes:
    """Tell one conversation from another by what all its turns begin with: instructions and the first other turn."""
    digest = blake2b(digest_size=16)
    for turn in query.turns:
        digest.update(f"{turn.role}\0{turn.text}\0".encode())
        if turn.role not in _INSTRUCTIONS:
            break
    return digest.digest()


def _choice(decision: RouteDecision) -> str:
    """Whom a router would choose if it did not explore."""
    chances = decision.chances
    return decision.expert if chances is None else max(chances, key=lambda name: (chances[name], name))


def _mixed(ours: RouteDecision, theirs: RouteDecision, share: float) -> dict[str, float]:
    """The chance of each expert where the candidate decides for this share."""
    chances: dict[str, float] = {}
    for decision, part in ((ours, 1.0 - share), (theirs, share)):
        for name, chance in (decision.chances or {decision.expert: decision.propensity}).items():
            chances[name] = chances.get(name, 0.0) + chance * part
    return chances


def _soon(work: Callable[[], None]) -> None:
    """Do it once the request has gone on its way; at once where no loop runs."""
    try:
        asyncio.get_running_loop().call_soon(work)
    except RuntimeError:
        work()
