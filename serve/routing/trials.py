"""Ends a canary's trial by itself, as soon as its answers prove that it is worse than the expert that it stands in for.

An observer of every request that was drawn between the two. Each bad answer is weighed by `experts.flywheel.trial`,
which may be asked after every one. A trial that is over stays over, for every gateway and worker that shares the file
of ended trials and over a restart, until the canary's entry in the catalogue is another one (other weights, say) or the
registry has put another candidate on trial. The registry's history also says what share it gets, if it says anything
(`experts.flywheel.history`); otherwise the catalogue does. What was seen is written beside it for `moegate flywheel`.
"""

import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from experts.catalog.renewal import LIVE
from experts.catalog.spec import Catalog, ExpertSpec
from experts.flywheel.history import CANARY, EVENTS, SHADOW, Change, last_stage, read_history
from experts.flywheel.progress import clear_old, write_progress
from experts.flywheel.registry import HISTORY
from experts.flywheel.trial import Trial
from protos import chat_pb2 as chat
from router.decision import RouteDecision
from serve.errors import AnswerInvalid, DeadlineExceeded, ExpertFailed, ExpertStalled, ExpertUnavailable
from serve.routing.canary import canaries, origin_of
from serve.telemetry.metrics.trials import TrialMetrics
from serve.telemetry.observer import Observer
from serve.telemetry.record import OK, RequestRecord

log = logging.getLogger("moegate.trials")

_ITS_FAULT: Final = frozenset(
    error.code for error in (ExpertFailed, ExpertStalled, ExpertUnavailable, DeadlineExceeded)
)
_KEEP: Final = frozenset(ExpertSpec.model_fields) - LIVE
ENDED_TRIALS: Final = "ended-trials.jsonl"
PROGRESS: Final = "trials"
_TELL_S: Final = 1.0  # so often what was seen is written down


@dataclass(frozen=True, slots=True)
class _Arm:
    """Which way a request was drawn; `stamp` names the candidate, `stage` is the share that it had then."""

    canary: str
    is_canary: bool
    share: float
    origin: bytes
    stamp: str
    stage: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the flywheel's folder says: trials that are over, and the histories of experts that have a canary."""

    over: frozenset[str] = frozenset()
    histories: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)


class Trials(Observer):
    """One process's trials.

    Attributes:
        paths: the files that say what is on trial; they need not be there.
        shadows: each expert's candidate that answers unseen, by the expert's name.
    """

    def __init__(self, folder: Path, catalog: Catalog, metrics: TrialMetrics) -> None:
        """`folder` is the flywheel's."""
        self._ended = folder / ENDED_TRIALS
        self._histories = {name: folder / "registry" / name / HISTORY for name in canaries(catalog)}
        self.paths = (self._ended, *self._histories.values())
        self._progress = folder / PROGRESS / f"{os.getpid()}-{secrets.token_hex(6)}.json"
        self._metrics = metrics
        self._known = self.read()
        self._trials: dict[str, Trial] = {}
        self._answers: Counter[tuple[str, float]] = Counter()
        self._teller: threading.Timer | None = None
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
        try:
            lines = self._ended.read_bytes().splitlines()
        except OSError:
            lines = []
        over = frozenset(stamp for line in lines if (stamp := _stamp_in(line)) is not None)
        return Known(over, {name: _history(path) for name, path in self._histories.items()})

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

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """The request was drawn anew."""
        record.of_step.pop(self, None)
        self.routed(record)

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """An expert failed before its first token."""
        arm: _Arm | None = record.of_step.get(self)
        if arm is not None and expert == (arm.canary if arm.is_canary else self._incumbent(arm.canary)):
            del record.of_step[self]
            self._count(arm)
            self._trial(arm).failed(arm.origin, is_canary=arm.is_canary, share=arm.share)
            self._look(arm)

    def ended(self, record: RequestRecord) -> None:
        """Weigh the answer."""
        arm: _Arm | None = record.of_step.get(self)
        if arm is None or record.is_recalled:
            return
        trial, is_canary, share = self._trial(arm), arm.is_canary, arm.share
        if record.outcome == OK or record.outcome in _ITS_FAULT:
            self._count(arm)
        if record.outcome == OK:
            cost = {"ttft_s": record.ttft_s, "usd": record.cost_usd}
            trial.answered(arm.origin, is_canary=is_canary, share=share, **cost)
        elif record.outcome in _ITS_FAULT:
            trial.failed(arm.origin, is_canary=is_canary, share=share)
        if record.outcome == AnswerInvalid.code or _breaks_its_form(record):
            trial.bad("form", arm.origin, is_canary=is_canary, share=share)
        self._look(arm)

    def rated(self, response_id: str, decision: RouteDecision, rating: float) -> None:
        """Weigh a rating, of an answer that this process has given."""
        if rating < 0 and decision.chances is not None:
            arm = self._drawn(decision, response_id.encode())
            if arm is not None:
                self._trial(arm).bad("rating", arm.origin, is_canary=arm.is_canary, share=arm.share)
                self._look(arm)

    def _arm(self, record: RequestRecord, decision: RouteDecision) -> _Arm | None:
        expert = decision.expert
        known = expert in self._specs or expert in self._canary_of
        return self._drawn(decision, origin_of(record.prepared)) if known else None

    def _drawn(self, decision: RouteDecision, origin: bytes) -> _Arm | None:
        expert, chances = decision.expert, decision.chances or {}
        canary = expert if expert in self._specs else self._canary_of.get(expert)
        if canary is None:
            return None
        own, others = chances.get(canary, 0.0), chances.get(self._incumbent(canary), 0.0)
        if not (own and others):
            return None
        stamp, stage = self._stamps[canary], self._specs[canary].canary_share
        return _Arm(canary, expert == canary, own / (own + others), origin, stamp, stage)

    def _incumbent(self, canary: str) -> str:
        spec = self._specs.get(canary)
        return "" if spec is None else spec.canary_of or ""

    def _trial(self, arm: _Arm) -> Trial:
        return self._trials.setdefault(arm.stamp, Trial())

    def _count(self, arm: _Arm) -> None:
        """Count an answer of the canary at the share that it gets now."""
        if arm.is_canary:
            self._answers[arm.stamp, arm.stage] += 1
        if self._teller is None:
            self._teller = threading.Timer(_TELL_S, self._tell)
            self._teller.daemon = True
            self._teller.start()

    def _tell(self) -> None:
        """Write down what was seen, off the loop: `moegate flywheel canary` decides by it."""
        self._teller = None
        answers, trials = list(self._answers.items()), list(self._trials.items())
        told = [
            {
                "stamp": stamp,
                "answers": [(share, count) for (name, share), count in answers if name == stamp],
                "wealth": trial.wealth,
            }
            for stamp, trial in trials
        ]
        try:
            write_progress(self._progress, told)
            clear_old(self._progress.parent)
        except OSError as error:
            log.warning("what a canary has shown cannot be written down", extra={"reason": error.strerror})

    def _look(self, arm: _Arm) -> None:
        canary, stamp = arm.canary, arm.stamp
        breach = self._trials[stamp].breach
        if breach is None or stamp in self._known.over:
            return
        facts = {"canary": canary, "answers": self._trials.pop(stamp).answers, **breach.as_dict()}
        log.error("a canary's trial is over: it is worse", extra=facts)
        self._metrics.ended.labels(canary, breach.kind).inc()
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "spec": stamp, **facts}
        threading.Thread(target=_append, args=(self._ended, orjson.dumps(line) + b"\n"), daemon=True).start()
        self.take_up(Known(frozenset({stamp}), self._known.histories))


def _breaks_its_form(record: RequestRecord) -> bool:
    completion = record.completion
    if completion is None:
        return False
    calls = completion.tool_calls
    return completion.form == chat.FORM_OUTCOME_INVALID or bool(calls.text or calls.invalid_arguments)


def stamp_of(spec: ExpertSpec, digest: str = "") -> str:
    """Name a canary on trial: its entry, whatever of it may change while it serves, and the registry's candidate."""
    return sha256(f"{spec.model_dump_json(include=set(_KEEP))}{digest}".encode()).hexdigest()[:16]


def _history(path: Path) -> tuple[Change, ...]:
    try:
        return tuple(read_history(path))
    except (OSError, ValueError, TypeError):
        log.warning("a history cannot be read: its expert's canary gets what the catalogue says")
        return ()


def _stamp_in(line: bytes) -> str | None:
    try:
        return str(orjson.loads(line)["spec"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _append(path: Path, line: bytes) -> None:
    """Tell the other gateways, on a thread: a disk that hangs ends no trial late here."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        log.warning("other gateways do not hear of the trial's end", extra={"reason": error.strerror})
