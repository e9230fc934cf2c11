"""Ends a canary's trial by itself, as soon as its answers prove that it is worse than the expert that it stands in for.

An observer of every request that was drawn between the two. Each bad answer is weighed by `experts.flywheel.trial`,
which may be asked after every one. A trial that is over stays over, for every gateway and worker that shares the file
of ended trials and over a restart, until the canary's entry in the catalogue is another one (other weights, say) or the
registry has put another candidate on trial. The registry's history also says what share it gets, if it says anything
(`experts.flywheel.history`); otherwise the catalogue does. What was seen is written beside it for `moegate flywheel`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from experts.catalog.renewal import LIVE
from experts.catalog.spec import Catalog, ExpertSpec
from experts.flywheel.history import CANARY, EVENTS, SHADOW, Change, last_stage
from experts.flywheel.registry import HISTORY
from router.decision import RouteDecision
from serve.routing.canary import canaries, origin_of
from serve.routing.watching import Arm, Watching, history_at
from serve.telemetry.metrics.trials import TrialMetrics
from serve.telemetry.record import RequestRecord

log = logging.getLogger("moegate.trials")

_KEEP: Final = frozenset(ExpertSpec.model_fields) - LIVE


@dataclass(frozen=True, slots=True)
class Known:
    """What the flywheel's folder says: trials that are over, and the histories of experts that have a canary."""

    over: frozenset[str] = frozenset()
    histories: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)


class Trials(Watching):
    """One process's trials.

    Attributes:
        paths: the files that say what is on trial; they need not be there.
        shadows: each expert's candidate that answers unseen, by the expert's name.
    """

    def __init__(self, folder: Path, catalog: Catalog, metrics: TrialMetrics) -> None:
        """`folder` is the flywheel's."""
        super().__init__(folder, metrics)
        self._histories = {name: folder / "registry" / name / HISTORY for name in canaries(catalog)}
        self.paths = (self._ended, *self._histories.values())
        self._known = self.read()
        self._specs: dict[str, ExpertSpec] = {}
        self._stamps: dict[str, str] = {}
        self._canary_of: dict[str, str] = {}
        self.shadows: dict[str, ExpertSpec] = {}
        self.on_end: Callable[[], None] = lambda: None

    def going(self, catalog: Catalog) -> dict[str, ExpertSpec]:
        """Each expert's canary that gets a share of its traffic now, by the expert's name."""
        staged = {name: self._staged(name, spec) for name, spec in canaries(catalog).items()}
        self._stamps = {spec.name: self._stamp(name, spec) for name, spec in staged.items()}
        found = {name: spec for name, spec in staged.items() if self._stamps[spec.name] not in self._known.over}
        self._specs = {spec.name: spec for spec in found.values()}
        self._canary_of = {name: spec.name for name, spec in found.items()}
        self.shadows = {name: spec for name, spec in found.items() if spec.shadow_share}
        self._show(staged, found)
        return {name: spec for name, spec in found.items() if spec.canary_share}

    def read(self) -> Known:
        """Read what is on trial; a line that cannot be read is none, and a history that cannot be read says nothing."""
        return Known(self._read_over(), {name: history_at(path) for name, path in self._histories.items()})

    def take_up(self, known: Known) -> tuple[str, ...]:
        """Go on with what is known now; what this process has ended stays over."""
        self._known = Known(self._known.over | known.over, known.histories)
        self.on_end()
        return ()

    def _staged(self, expert: str, spec: ExpertSpec) -> ExpertSpec:
        """A canary's entry with the shares that the registry gives it, if it gives any."""
        stage = last_stage(self._known.histories.get(expert, ()))
        if stage is None:
            return spec
        shares = {
            "canary_share": stage.share if stage.event == CANARY else 0.0,
            "shadow_share": stage.share if stage.event == SHADOW else 0.0,
        }
        return spec.model_copy(update=shares)

    def _stamp(self, expert: str, spec: ExpertSpec) -> str:
        stage = last_stage(self._known.histories.get(expert, ()))
        return stamp_of(spec, (stage.digest or "") if stage is not None else "")

    def _show(self, staged: Mapping[str, ExpertSpec], found: Mapping[str, ExpertSpec]) -> None:
        for name, spec in staged.items():
            goes_on = name in found
            self._metrics.share.labels(spec.name, "canary").set(spec.canary_share if goes_on else 0.0)
            self._metrics.share.labels(spec.name, "shadow").set(spec.shadow_share if goes_on else 0.0)
            counts = Counter(change.event for change in self._known.histories.get(name, ()))
            for event in EVENTS:
                self._metrics.changes.labels(name, event).set(counts[event])

    def routed(self, record: RequestRecord) -> None:
        """Note which way a request was drawn, if it was."""
        if record.decision is not None and record.decision.chances is not None:
            arm = self._arm(record, record.decision)
            if arm is not None:
                record.of_step[self] = arm

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """An expert failed before its first token."""
        arm: Arm | None = record.of_step.get(self)
        if arm is not None and expert == (arm.canary if arm.is_canary else self._incumbent(arm.canary)):
            self._fails(record, arm)

    def rated(self, response_id: str, decision: RouteDecision, rating: float) -> None:
        """Weigh a rating, of an answer that this process has given."""
        if rating < 0 and decision.chances is not None:
            arm = self._drawn(decision, response_id.encode())
            if arm is not None:
                self._dislike(arm)

    def _arm(self, record: RequestRecord, decision: RouteDecision) -> Arm | None:
        expert = decision.expert
        known = expert in self._specs or expert in self._canary_of
        return self._drawn(decision, origin_of(record.prepared)) if known else None

    def _drawn(self, decision: RouteDecision, origin: bytes) -> Arm | None:
        expert, chances = decision.expert, decision.chances or {}
        canary = expert if expert in self._specs else self._canary_of.get(expert)
        if canary is None:
            return None
        own, others = chances.get(canary, 0.0), chances.get(self._incumbent(canary), 0.0)
        if not (own and others):
            return None
        stamp, stage = self._stamps[canary], self._specs[canary].canary_share
        return Arm(canary, expert == canary, own / (own + others), origin, stamp, stage)

    def _incumbent(self, canary: str) -> str:
        spec = self._specs.get(canary)
        return "" if spec is None else spec.canary_of or ""

    def _is_over(self, stamp: str) -> bool:
        return stamp in self._known.over

    def _end(self, stamp: str) -> None:
        self.take_up(Known(frozenset({stamp}), self._known.histories))


def stamp_of(spec: ExpertSpec, digest: str = "") -> str:
    """Name a canary on trial: its entry, whatever of it may change while it serves, and the registry's candidate."""
    return sha256(f"{spec.model_dump_json(include=set(_KEEP))}{digest}".encode()).hexdigest()[:16]
