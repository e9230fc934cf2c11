"""What every trial of a candidate at a gateway has in common: weighing answers, telling what was seen, ending it.

`serve.routing.trials` watches experts' canaries, `serve.routing.router_trial` a router's candidate. Which way a request
was drawn is theirs to say (`Arm`); what its outcome speaks for is said here, by `experts.flywheel.trial`.
"""

import logging
import os
import secrets
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from experts.flywheel.history import Change, read_history
from experts.flywheel.progress import clear_old, write_progress
from experts.flywheel.trial import Trial
from protos import chat_pb2 as chat
from serve.errors import AnswerInvalid, DeadlineExceeded, ExpertFailed, ExpertStalled, ExpertUnavailable
from serve.telemetry.metrics.trials import TrialMetrics
from serve.telemetry.observer import Observer
from serve.telemetry.record import OK, RequestRecord

log = logging.getLogger("moegate.trials")

_ITS_FAULT: Final = frozenset(
    error.code for error in (ExpertFailed, ExpertStalled, ExpertUnavailable, DeadlineExceeded)
)
ENDED_TRIALS: Final = "ended-trials.jsonl"
PROGRESS: Final = "trials"
_TELL_S: Final = 1.0  # so often what was seen is written down


@dataclass(frozen=True, slots=True)
class Arm:
    """Which way a request was drawn.

    Attributes:
        canary: whom the trial is about, by name.
        is_canary: it was drawn for that one.
        share: the probability of that.
        origin: the conversation.
        stamp: names the candidate.
        stage: the share that it had then.
    """

    canary: str
    is_canary: bool
    share: float
    origin: bytes
    stamp: str
    stage: float


class Watching(Observer):
    """One process's trials of a kind."""

    def __init__(self, folder: Path, metrics: TrialMetrics) -> None:
        """`folder` is the flywheel's."""
        self._ended = folder / ENDED_TRIALS
        self._progress = folder / PROGRESS / f"{os.getpid()}-{secrets.token_hex(6)}.json"
        self._metrics = metrics
        self._trials: dict[str, Trial] = {}
        self._answers: Counter[tuple[str, float]] = Counter()
        self._teller: threading.Timer | None = None

    @abstractmethod
    def _is_over(self, stamp: str) -> bool:
        """Whether a candidate's trial has been ended, here or elsewhere."""

    @abstractmethod
    def _end(self, stamp: str) -> None:
        """Give a candidate nothing any more."""

    @abstractmethod
    def routed(self, record: RequestRecord) -> None:
        """Note which way a request was drawn, if it was."""

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """The request was drawn anew."""
        record.of_step.pop(self, None)
        self.routed(record)

    def _fails(self, record: RequestRecord, arm: Arm) -> None:
        """An answer failed before its first token; what comes next is somebody else's."""
        del record.of_step[self]
        self._count(arm)
        self._trial(arm).failed(arm.origin, is_canary=arm.is_canary, share=arm.share)
        self._look(arm)

    def ended(self, record: RequestRecord) -> None:
        """Weigh the answer."""
        arm: Arm | None = record.of_step.get(self)
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

    def _dislike(self, arm: Arm) -> None:
        """Weigh a bad rating."""
        self._trial(arm).bad("rating", arm.origin, is_canary=arm.is_canary, share=arm.share)
        self._look(arm)

    def _trial(self, arm: Arm) -> Trial:
        return self._trials.setdefault(arm.stamp, Trial())

    def _count(self, arm: Arm) -> None:
        """Count an answer of the candidate at the share that it gets now."""
        if arm.is_canary:
            self._answers[arm.stamp, arm.stage] += 1
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._teller is None:
            self._teller = threading.Timer(_TELL_S, self._tell)
            self._teller.daemon = True
            self._teller.start()

    def _told(self) -> list[Mapping[str, Any]]:
        """What was seen, by candidate."""
        answers, trials = list(self._answers.items()), list(self._trials.items())
        return [
            {
                "stamp": stamp,
                "answers": [(share, count) for (name, share), count in answers if name == stamp],
                "wealth": trial.wealth,
            }
            for stamp, trial in trials
        ]

    def _tell(self) -> None:
        """Write down what was seen, off the loop: `moegate flywheel canary` decides by it."""
        self._teller = None
        try:
            write_progress(self._progress, self._told())
            clear_old(self._progress.parent)
        except OSError as error:
            log.warning("what a canary has shown cannot be written down", extra={"reason": error.strerror})

    def _look(self, arm: Arm) -> None:
        canary, stamp = arm.canary, arm.stamp
        breach = self._trials[stamp].breach
        if breach is None or self._is_over(stamp):
            return
        facts = {"canary": canary, "answers": self._trials.pop(stamp).answers, **breach.as_dict()}
        log.error("a canary's trial is over: it is worse", extra=facts)
        self._metrics.ended.labels(canary, breach.kind).inc()
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "spec": stamp, **facts}
        threading.Thread(target=_append, args=(self._ended, orjson.dumps(line) + b"\n"), daemon=True).start()
        self._end(stamp)

    def _read_over(self) -> frozenset[str]:
        """The stamps of all trials that are over; a line that cannot be read is none."""
        try:
            lines = self._ended.read_bytes().splitlines()
        except OSError:
            lines = []
        return frozenset(stamp for line in lines if (stamp := _stamp_in(line)) is not None)


def history_at(path: Path) -> tuple[Change, ...]:
    """Read a history; one that cannot be read says nothing."""
    try:
        return tuple(read_history(path))
    except (OSError, ValueError, TypeError):
        log.warning("a history cannot be read: its expert's canary gets what the catalogue says")
        return ()


def _breaks_its_form(record: RequestRecord) -> bool:
    completion = record.completion
    if completion is None:
        return False
    calls = completion.tool_calls
    return completion.form == chat.FORM_OUTCOME_INVALID or bool(calls.text or calls.invalid_arguments)


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
