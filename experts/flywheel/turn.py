"""One turn of the wheel for an expert: where it stands, on a disk, so that whoever comes next goes on from there.

    turns/EXPERT.json        the latest turn, replaced whole after each step
    turns/EXPERT/NUMBER/     what its steps have written: both's answers to each bar
    turns/EXPERT.lock        held while somebody turns it

Each step may be done again without harm, so a turn that was killed in the middle of one begins that step anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

STEPS: Final = ("curate", "tune", "evaluate", "shadow", "canary", "promote")


class Busy(Exception):
    """Somebody else turns this expert's wheel."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn.

    Attributes:
        number: from 1.
        step: one of `STEPS`: what is to be done next.
        began: when.
        curated: the digest of the set that it learns from.
        candidate: the digest of what it has made.
        ended: why it is over; empty while it goes on.
        promoted: whether what it has made serves.
    """

    number: int
    step: str
    began: str
    curated: str = ""
    candidate: str = ""
    ended: str = ""
    promoted: bool = False


class Turns:
    """An expert's turns."""

    def __init__(self, folder: Path, expert: str) -> None:
        self._path = folder / f"{expert}.json"
        self._folder = folder / expert

    def latest(self) -> Turn | None:
        """The latest turn; None before the first."""
        try:
            return Turn(**json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return None

    def begin(self) -> Turn:
        """Begin one, or go on with the one that is not over."""
        last = self.latest()
        if last is not None and not last.ended:
            return last
        turn = Turn(1 if last is None else last.number + 1, STEPS[0], datetime.now(UTC).isoformat(timespec="seconds"))
        self.note(turn)
        return turn

    def note(self, turn: Turn) -> None:
        """Say where the turn stands now; it does or it does not, wherever that is interrupted."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(file, json.dumps(asdict(turn)).encode())
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(draft, self._path)

    def place(self, turn: Turn) -> Path:
        """Where the turn's steps may write."""
        folder = self._folder / str(turn.number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else turns it meanwhile; a lock that a dead process held is free.

        Raises:
            Busy: somebody does.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Busy from None
        try:
            yield
        finally:
            os.close(lock)


def next_after(step: str) -> str:
    """The step that comes after another one; the last one comes after itself."""
    place = STEPS.index(step)
    return STEPS[min(place + 1, len(STEPS) - 1)]
