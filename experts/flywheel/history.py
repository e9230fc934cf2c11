"""The lines of an expert's history: what served from when on, and who was on trial how far. `registry` writes them.

A gateway reads them too: they say which share of the traffic a candidate gets, so a change of it is one line, and there
is no second place that could say something else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ADOPTED, PROMOTED, ROLLED_BACK = "adopted", "promoted", "rolled back"
SHADOW, CANARY, ENDED = "shadow", "canary", "ended"
SERVING: Final = frozenset({ADOPTED, PROMOTED, ROLLED_BACK})
"""Events after which an artefact serves."""
ON_TRIAL: Final = frozenset({SHADOW, CANARY})
"""Events after which a candidate is on trial."""
EVENTS: Final = (ADOPTED, SHADOW, CANARY, ENDED, PROMOTED, ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the history.

    Attributes:
        event: one of `EVENTS`.
        digest: the artefact that it is about; None = what the catalogue shipped with.
        at: when.
        by: whom.
        why: in words.
        share: of the traffic, that a candidate on trial gets, or answers unseen (shadow).
    """

    event: str
    digest: str | None
    at: str
    by: str
    why: str
    share: float = 0.0

    @property
    def line(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read_history(path: Path) -> list[Change]:
    """Every change, the oldest first; none where there is no file. A line that a crash cut short has not happened.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    return [Change(**json.loads(line)) for line in whole.splitlines() if line]


def serving(history: Sequence[Change]) -> str | None:
    """The digest of what serves; None = what the catalogue shipped with."""
    return next((change.digest for change in reversed(history) if change.event in SERVING), None)


def last_stage(history: Sequence[Change]) -> Change | None:
    """The line that says what share a candidate gets; None where none has ever been on trial.

    A promotion ends a trial: what was on trial serves.
    """
    if not any(change.event in ON_TRIAL for change in history):
        return None
    return history[-1]


def on_trial(history: Sequence[Change]) -> Change | None:
    """The line that put a candidate where it is on trial now; None where nobody is."""
    return history[-1] if history and history[-1].event in ON_TRIAL else None


def next_up(history: Sequence[Change]) -> str | None:
    """The digest of what was on trial last, or was adopted: what a canary's replicas load."""
    events = ON_TRIAL | {ADOPTED}
    return next((change.digest for change in reversed(history) if change.event in events), None)
