"""Tries a router's candidate out: first it decides beside the one that serves, then for a share of the conversations.

The same stages, test and history as an expert's candidate (`serve.routing.trials`); the registry is the router's own.
`serve.routing.trial_router` decides; an observer here weighs what became of either router's decisions.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from experts.flywheel.history import CANARY, EVENTS, SHADOW, Change, on_trial
from experts.flywheel.registry import HISTORY
from router.decision import Reason, RouteDecision
from router.errors import RouterError
from serve.routing.canary import origin_of
from serve.routing.kinds import ServingRouter
from serve.routing.trial_router import OnTrial, TrialRouter
from serve.routing.watching import Arm, Watching, history_at
from serve.telemetry.metrics.trials import TrialMetrics
from serve.telemetry.record import RequestRecord

log = logging.getLogger("moegate.trials")

NAME: Final = "router"
ARTIFACT: Final = "router.npz"
SAME, OTHER, FAILED = "same", "other", "failed"


def stamp_of_router(digest: str) -> str:
    """Name a router's candidate on trial."""
    return sha256(f"{NAME}|{digest}".encode()).hexdigest()[:16]


def is_tried_out(folder: Path, artifact: Path | None) -> bool:
    """Whether the router that serves is the registry's, so that its candidates can be tried out.

    Args:
        folder: the flywheel's.
        artifact: what `router.artifact` names.
    """
    return artifact is not None and artifact.absolute() == (folder / NAME / NAME / "current" / ARTIFACT).absolute()


@dataclass(frozen=True, slots=True)
class Known:
    """What the flywheel's folder says of the router: trials that are over, the history, and the candidate."""

    over: frozenset[str] = frozenset()
    history: tuple[Change, ...] = ()
    candidate: OnTrial | None = None


class RouterTrial(Watching):
    """One process's trial of a router.

    Attributes:
        router: what the gateway decides by.
        paths: the files that say what is on trial; they need not be there.
    """

    def __init__(
        self, folder: Path, serving: ServingRouter, load: Callable[[Path], ServingRouter], metrics: TrialMetrics
    ) -> None:
        """`folder` is the flywheel's; `load` makes a router of an artefact, with the gateway's own settings."""
        super().__init__(folder, metrics)
        self._registry = folder / NAME / NAME
        self._load = load
        self._known = Known()
        self._compared: dict[str, Counter[str]] = {}
        self.router = TrialRouter(serving, self._count_compared, self._cannot_decide)
        self.paths = (self._registry / HISTORY, self._ended)

    def read(self) -> Known:
        """Read what is on trial, and load it; in a thread."""
        over, history = self._read_over(), history_at(self._registry / HISTORY)
        stage = on_trial(history)
        if stage is None or stage.digest is None:
            return Known(over, history)
        stamp, known = stamp_of_router(stage.digest), self._known.candidate
        try:
            is_known = known is not None and known.stamp == stamp
            path = self._registry / "artifacts" / stage.digest / ARTIFACT
            router = known.router if known is not None and is_known else self._load(path)
        except RouterError as error:
            log.error("a router on trial cannot be loaded", extra={"candidate": stage.digest, "error": str(error)})
            return Known(over, history)
        return Known(over, history, OnTrial(router, stage, stamp))

    def take_up(self, known: Known) -> tuple[str, ...]:
        """Go on with what is known now; what this process has ended stays over."""
        self._known = Known(self._known.over | known.over, known.history, known.candidate)
        found = known.candidate
        goes_on = found is not None and found.stamp not in self._known.over
        self.router.on_trial = found if goes_on else None
        for event in (CANARY, SHADOW):
            share = found.stage.share if found is not None and goes_on and found.stage.event == event else 0.0
            self._metrics.share.labels(NAME, event).set(share)
        counts = Counter(change.event for change in known.history)
        for event in EVENTS:
            self._metrics.changes.labels(NAME, event).set(counts[event])
        return ()

    def routed(self, record: RequestRecord) -> None:
        """Note by which router a request was decided, if that was drawn."""
        trial = self.router.on_trial
        if trial is not None and record.decision is not None:
            arm = self._drawn(trial, record.decision, origin_of(record.prepared))
            if arm is not None:
                record.of_step[self] = arm

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """The expert that was chosen failed before its first token."""
        arm: Arm | None = record.of_step.get(self)
        if arm is not None:
            self._fails(record, arm)

    def rated(self, response_id: str, decision: RouteDecision, rating: float) -> None:
        """Weigh a rating, of an answer that this process has given."""
        trial = self.router.on_trial
        if trial is not None and rating < 0:
            arm = self._drawn(trial, decision, response_id.encode())
            if arm is not None:
                self._dislike(arm)

    def _drawn(self, trial: OnTrial, decision: RouteDecision, origin: bytes) -> Arm | None:
        theirs = decision.router_version == trial.router.version
        if not trial.is_canary or decision.reason is Reason.PINNED or decision.chances is None:
            return None
        if not theirs and decision.router_version != self.router.version:
            return None
        share = trial.stage.share
        return Arm(NAME, theirs, share, origin, trial.stamp, share)

    def _count_compared(self, trial: OnTrial, ours: str, theirs: str) -> None:
        outcome = FAILED if not theirs else SAME if ours == theirs else OTHER
        self._compared.setdefault(trial.stamp, Counter())[outcome] += 1
        self._metrics.router_shadows.labels(ours, theirs or FAILED).inc()
        self._tell_soon()

    def _told(self) -> list[Mapping[str, Any]]:
        counts = list(self._compared.items())
        return [
            *super()._told(),
            *({"stamp": stamp, "answers": [], "wealth": {}, "compared": dict(count)} for stamp, count in counts),
        ]

    def _cannot_decide(self, trial: OnTrial, origin: bytes) -> None:
        share = trial.stage.share
        arm = Arm(NAME, True, share, origin, trial.stamp, share)
        self._count(arm)
        self._trial(arm).failed(origin, is_canary=True, share=share)
        self._look(arm)

    def _is_over(self, stamp: str) -> bool:
        return stamp in self._known.over

    def _end(self, stamp: str) -> None:
        self.take_up(Known(frozenset({stamp}), self._known.history, self._known.candidate))
