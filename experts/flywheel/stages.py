"""How far a candidate on trial goes: unseen, then to a small share of the traffic, then to a larger one.

Gateways watch it (`experts.flywheel.trial`) and stop it by themselves, at the first answer that proves it worse.
Whether it goes a stage further is decided here, out of what they have seen: enough answers at this share, and no
evidence worth a doubt. Each step is a line in the registry's history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DOUBT: Final = 10.0
"""Evidence that it is worse (`Bet.wealth`) from which it goes no further.

One that is no worse ever shows as much in one kind of bad answers with a probability of 1 / 10 at most.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the share of the conversations, and how many answers have to be seen at it."""

    share: float
    answers: int


STAGES: Final = (Stage(0.01, 50), Stage(0.05, 200), Stage(0.25, 500))


@dataclass(frozen=True, slots=True)
class Seen:
    """What all gateways together have seen of a candidate.

    Attributes:
        answers: its own, by the share at which they were given.
        wealth: by kind of bad answer, the strongest evidence that any gateway has that it is worse.
        breach: why it was ended; empty while it goes on.
    """

    answers: Mapping[float, int] = field(default_factory=dict)
    wealth: Mapping[str, float] = field(default_factory=dict)
    breach: str = ""

    @property
    def doubt(self) -> tuple[str, float]:
        """The kind of bad answer that there is most evidence of, and the evidence."""
        return max(self.wealth.items(), key=lambda pair: pair[1], default=("", 0.0))


class Move(StrEnum):
    """What is to be done."""

    WAIT = "wait"  # there are too few answers
    HOLD = "hold"  # there is a doubt; more answers dispel it or prove it
    UP = "up"  # to the next share
    PASSED = "passed"  # it has gone through all stages
    END = "end"  # it is worse


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done, the share that goes with it, and why."""

    move: Move
    share: float
    why: str


def next_step(share: float, seen: Seen, stages: Sequence[Stage] = STAGES) -> Step:
    """Decide on a candidate that gets this share now; 0 = none yet."""
    if seen.breach:
        return Step(Move.END, 0.0, f"it is worse: {seen.breach}")
    place = next((at for at, stage in enumerate(stages) if stage.share == share), None)
    if place is None:
        above = next((stage.share for stage in stages if stage.share > share), None)
        return Step(Move.PASSED, share, "no stage is left") if above is None else Step(Move.UP, above, "it begins")
    stage, answers = stages[place], seen.answers.get(share, 0)
    if answers < stage.answers:
        return Step(Move.WAIT, share, f"{answers} of {stage.answers} answers at {share:.0%}")
    kind, wealth = seen.doubt
    if wealth >= DOUBT:
        return Step(Move.HOLD, share, f"there is a doubt of its answers ({kind}: {wealth:.0f} to 1)")
    told = f"{answers} answers at {share:.0%} are no worse"
    if place + 1 == len(stages):
        return Step(Move.PASSED, share, told)
    return Step(Move.UP, stages[place + 1].share, told)
