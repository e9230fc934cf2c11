"""What a run has used so far, over all sessions: kept in each checkpoint, so that a resumed run continues the count.

What a killed session did after its last checkpoint is lost, and its tokens and seconds with it: the steps are done
again, and counted once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_FILE: Final = "spent.json"


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that were trained on, and wall-clock seconds."""

    tokens: float = 0.0
    load_s: float = 0.0
    train_s: float = 0.0
    save_s: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        """Return both together."""
        return Spent(
            self.tokens + other.tokens,
            self.load_s + other.load_s,
            self.train_s + other.train_s,
            self.save_s + other.save_s,
        )


def read_spent(checkpoint: Path | None) -> Spent:
    """Return what was used up until a checkpoint; nothing where that was not kept, so that only what follows counts."""
    if checkpoint is None:
        return Spent()
    try:
        return Spent(**{name: float(value) for name, value in json.loads((checkpoint / _FILE).read_text()).items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return Spent()


def keep_spent(checkpoint: Path, spent: Spent) -> None:
    """Put it into a checkpoint."""
    (checkpoint / _FILE).write_text(json.dumps(asdict(spent)) + "\n")
