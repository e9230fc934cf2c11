"""The router: query and expert states in, ranked decision out.

The gateway loads one at start and calls `route` for every request. Nothing here waits, logs or reads a disk after
loading, except `changed_artifact`, which the gateway calls in another thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from router.decision import Coverage, RouteDecision
from router.errors import ArtifactError
from router.features.featurize import RouteQuery, featurize
from router.model.artifact import DEFAULT_PATH, Artifact, load
from router.model.gate import Gate
from router.policy.decide import ExpertState, Policy, RoutingPreferences
from router.policy.explore import Exploration
from router.policy.objective import NO_PREFERENCES
from router.policy.ranking import Ranking
from router.policy.settings import policy_of

Clock = Callable[[], float]


@dataclass(slots=True)
class Router:
    """A gate and a policy, replaceable while serving.

    Attributes:
        path: the artefact's file; None for a router made of parts.
        gate: the probabilities.
        policy: the settings of a decision: the artefact's, with the operator's own threshold and default.
        clock: seconds, monotonic; measures `route_s`.
        exploration: draws another expert now and then; never by default.
        abstain_below: takes the place of every artefact's threshold, where given.
        default_expert: takes the place of every artefact's default, where given.
    """

    gate: Gate
    policy: Policy
    path: Path | None = None
    clock: Clock = time.perf_counter
    _stamp: tuple[int, int] | None = None
    exploration: Exploration | None = None
    abstain_below: float | None = None
    default_expert: str | None = None

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        clock: Clock = time.perf_counter,
        *,
        exploration: Exploration | None = None,
        abstain_below: float | None = None,
        default_expert: str | None = None,
    ) -> "Router":
        """Load the artefact at `path`, or the one that ships with moegate; the rest as the attributes say.

        Raises:
            ArtifactError: the file cannot be used.
        """
        path = path or DEFAULT_PATH
        stamp = _stamp_of(path)
        artifact = load(path)
        featurize(RouteQuery(()))  # reads the tables of words now rather than with the first request
        policy = _policy(artifact, abstain_below, default_expert)
        return cls(Gate(artifact), policy, path, clock, stamp, exploration, abstain_below, default_expert)

    @property
    def version(self) -> str:
        """Name the artefact in use: a short content hash."""
        return self.gate.artifact.version

    @property
    def training_mix(self) -> dict[str, float]:
        """Share of the training rows by expert; empty where the artefact does not say."""
        mix = self.gate.artifact.training.get("mix") or {}
        return {str(name): float(share) for name, share in mix.items()}

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts for one query; pure but for the clock and exploration's draws.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        started = self.clock()
        ranking = Ranking(self.gate.by_expert, self.version, self.policy, self.exploration)
        decision = ranking.rank(query, states, pinned, preferences)
        return decision._replace(route_s=self.clock() - started)

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """Compare the catalogue's experts with those the artefact knows."""
        known = self.gate.experts
        return Coverage(
            unknown_experts=tuple(name for name in experts if name not in known),
            classes_without_expert=tuple(name for name in known if name not in experts),
        )

    def reload_if_changed(self) -> bool:
        """Take up a replaced file; True if it was.

        The last good artefact stays in use when the new one is refused, and the refused file is not tried again until
        it changes once more.

        Raises:
            ArtifactError: the file changed and the new one cannot be used; for the caller to count and log.
        """
        artifact = self.changed_artifact()
        if artifact is None:
            return False
        self.take_up(artifact)
        return True

    def changed_artifact(self) -> Artifact | None:
        """Read a replaced file without using it yet; None where nothing changed. May run in another thread.

        Raises:
            ArtifactError: as `reload_if_changed`.
        """
        if self.path is None:
            return None
        stamp = _stamp_of(self.path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return load(self.path)

    def take_up(self, artifact: Artifact) -> None:
        """Decide by this artefact from now on; on the thread that routes.

        Raises:
            ArtifactError: its policy cannot be read; nothing has changed then.
        """
        gate, policy = Gate(artifact), _policy(artifact, self.abstain_below, self.default_expert)
        self.gate, self.policy = gate, policy


def _policy(artifact: Artifact, abstain_below: float | None, default_expert: str | None) -> Policy:
    """Return the artefact's policy, with the operator's own threshold and default where there are any."""
    policy = policy_of(artifact)
    if abstain_below is not None:
        policy = replace(policy, abstain_below=abstain_below)
    return policy if default_expert is None else replace(policy, default_expert=default_expert)


def _stamp_of(path: Path) -> tuple[int, int]:
    """Read what changes when a file is replaced: modification time in ns, and size.

    Raises:
        ArtifactError: the file is not there.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ArtifactError(f"artefact cannot be read: {error.strerror}") from error
    return stat.st_mtime_ns, stat.st_size
