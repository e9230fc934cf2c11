"""The router: query and expert states in, ranked decision out.

The gateway loads one at start and calls `route` for every request; nothing here waits, logs or touches a disk after
loading, except `reload_if_changed`, which the gateway calls from its own timer.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from router.artifact import DEFAULT_PATH, Artifact, load
from router.decision import RouteDecision
from router.errors import ArtifactError
from router.features import RouteQuery
from router.gate import Gate
from router.policy import ExpertState, Policy, decide
from router.tokens import estimate_tokens

Clock = Callable[[], float]


@dataclass(slots=True)
class Router:
    """A gate and a policy, replaceable while serving.

    Attributes:
        path: the artefact's file; None for a router made of parts.
        gate: the probabilities.
        policy: the default expert and the abstention threshold.
        clock: seconds, monotonic; measures `route_s`.
    """

    gate: Gate
    policy: Policy
    path: Path | None = None
    clock: Clock = time.perf_counter
    _stamp: tuple[int, int] | None = None

    @classmethod
    def load(cls, path: Path | None = None, clock: Clock = time.perf_counter) -> "Router":
        """Load the artefact at `path`, or the one that ships with moegate.

        Raises:
            ArtifactError: the file cannot be used.
        """
        path = path or DEFAULT_PATH
        stamp = _stamp_of(path)
        artifact = load(path)
        return cls(Gate(artifact), _policy_of(artifact), path, clock, stamp)

    @property
    def version(self) -> str:
        """Name the artefact in use: a short content hash."""
        return self.gate.artifact.version

    def route(self, query: RouteQuery, states: Sequence[ExpertState], pinned: str | None = None) -> RouteDecision:
        """Rank all experts for one query; pure but for the clock.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        started = self.clock()
        gate = self.gate
        probabilities = dict(zip(gate.experts, gate.probabilities(query).tolist(), strict=True))
        decision = decide(
            probabilities,
            states,
            self.policy,
            prompt_tokens=estimate_tokens(turn.text for turn in query.turns),
            router_version=gate.artifact.version,
            pinned=pinned,
        )
        return replace(decision, route_s=self.clock() - started)

    def reload_if_changed(self) -> bool:
        """Take up a replaced file; True if it was.

        The last good artefact stays in use when the new one is refused, and the refused file is not tried again until
        it changes once more.

        Raises:
            ArtifactError: the file changed and the new one cannot be used; for the caller to count and log.
        """
        if self.path is None:
            return False
        stamp = _stamp_of(self.path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        artifact = load(self.path)
        self.gate, self.policy = Gate(artifact), _policy_of(artifact)
        return True


def _policy_of(artifact: Artifact) -> Policy:
    """Read the policy an artefact was calibrated with."""
    return Policy(artifact.default_expert, artifact.abstain_below)


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
