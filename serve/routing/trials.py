"""Ends a canary's trial by itself, as soon as its answers prove that it is worse than the expert that it stands in for.

An observer of every request that was drawn between the two. Each bad answer is weighed by `experts.flywheel.trial`,
which may be asked after every one. A trial that is over stays over, for every gateway and worker that shares the file
of ended trials and over a restart, until the canary's entry in the catalogue is another one (other weights, say).
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from experts.catalog.renewal import LIVE
from experts.catalog.spec import Catalog, ExpertSpec
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


@dataclass(frozen=True, slots=True)
class _Arm:
    """Which way a request was drawn."""

    canary: str
    is_canary: bool
    share: float
    origin: bytes


class Trials(Observer):
    """One process's trials."""

    def __init__(self, ended: Path, metrics: TrialMetrics) -> None:
        """`ended` is the file of trials that are over; it need not be there."""
        self.path = ended
        self._metrics = metrics
        self._over = self.read()
        self._trials: dict[str, Trial] = {}
        self._specs: dict[str, ExpertSpec] = {}
        self._canary_of: dict[str, str] = {}
        self.on_end: Callable[[], None] = lambda: None

    def going(self, catalog: Catalog) -> dict[str, ExpertSpec]:
        """Each expert's canary whose trial is not over, by the expert's name."""
        found = {name: spec for name, spec in canaries(catalog).items() if _stamp(spec) not in self._over}
        self._specs = {spec.name: spec for spec in found.values()}
        self._canary_of = {name: spec.name for name, spec in found.items()}
        return found

    def read(self) -> frozenset[str]:
        """Read which trials are over; a line that cannot be read is none."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return frozenset()
        return frozenset(stamp for line in lines if (stamp := _stamp_in(line)) is not None)

    def take_up(self, over: frozenset[str]) -> tuple[str, ...]:
        """End what has been ended elsewhere."""
        self._over |= over
        self.on_end()
        return ()

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
            self._trial(arm).failed(arm.origin, is_canary=arm.is_canary, share=arm.share)
            self._look(arm.canary)

    def ended(self, record: RequestRecord) -> None:
        """Weigh the answer."""
        arm: _Arm | None = record.of_step.get(self)
        if arm is None or record.is_recalled:
            return
        trial, is_canary, share = self._trial(arm), arm.is_canary, arm.share
        if record.outcome == OK:
            cost = {"ttft_s": record.ttft_s, "usd": record.cost_usd}
            trial.answered(arm.origin, is_canary=is_canary, share=share, **cost)
        elif record.outcome in _ITS_FAULT:
            trial.failed(arm.origin, is_canary=is_canary, share=share)
        if record.outcome == AnswerInvalid.code or _breaks_its_form(record):
            trial.bad("form", arm.origin, is_canary=is_canary, share=share)
        self._look(arm.canary)

    def rated(self, response_id: str, decision: RouteDecision, rating: float) -> None:
        """Weigh a rating, of an answer that this process has given."""
        if rating < 0 and decision.chances is not None:
            arm = self._drawn(decision, response_id.encode())
            if arm is not None:
                self._trial(arm).bad("rating", arm.origin, is_canary=arm.is_canary, share=arm.share)
                self._look(arm.canary)

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
        return _Arm(canary, expert == canary, own / (own + others), origin) if own and others else None

    def _incumbent(self, canary: str) -> str:
        spec = self._specs.get(canary)
        return "" if spec is None else spec.canary_of or ""

    def _trial(self, arm: _Arm) -> Trial:
        return self._trials.setdefault(arm.canary, Trial())

    def _look(self, canary: str) -> None:
        breach, spec = self._trials[canary].breach, self._specs.get(canary)
        if breach is None or spec is None:
            return
        facts = {"canary": canary, "answers": self._trials.pop(canary).answers, **breach.as_dict()}
        log.error("a canary's trial is over: it is worse", extra=facts)
        self._metrics.ended.labels(canary, breach.kind).inc()
        stamp = _stamp(spec)
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "spec": stamp, **facts}
        threading.Thread(target=_append, args=(self.path, orjson.dumps(line) + b"\n"), daemon=True).start()
        self.take_up(frozenset({stamp}))


def _breaks_its_form(record: RequestRecord) -> bool:
    completion = record.completion
    if completion is None:
        return False
    calls = completion.tool_calls
    return completion.form == chat.FORM_OUTCOME_INVALID or bool(calls.text or calls.invalid_arguments)


def _stamp(spec: ExpertSpec) -> str:
    """Name a canary's entry, whatever of it may change while it serves."""
    return sha256(spec.model_dump_json(include=set(_KEEP)).encode()).hexdigest()[:16]


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
