"""A company that answers its tenants' reports in a form of its own: made-up people, reports, and what they should get.

The workload of `loadtests.flywheel_turn`. Every report is of somebody (`user`), in that person's own way of saying
things, about a thing, a place and what is wrong with it. What the company wants said follows from these by a rule that
no model has been told: `correction`. People of one half of the company's towns speak otherwise than those of the other
half, so that nothing a model has learned of some helps it with the words of others.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_THINGS: Final = {
    "lift": "MECH", "boiler": "HEAT", "radiator": "HEAT", "tap": "WATER", "toilet": "WATER", "shower": "WATER",
    "window": "GLASS", "front door": "LOCK", "letter box": "LOCK", "garage door": "MECH", "hall light": "POWER",
    "socket": "POWER", "intercom": "POWER", "gutter": "ROOF", "skylight": "GLASS",
}  # fmt: skip
_FAULTS: Final = {
    "leaks": "P2", "is stuck": "P2", "smells of burning": "P1", "makes a loud noise": "P3", "does not work": "P2",
    "is loose": "P3", "gives off sparks": "P1", "is cracked": "P3", "has flooded the room": "P1", "is dirty": "P4",
}  # fmt: skip
_PLACES: Final = ("flat", "house", "unit", "room", "floor")
_OPENINGS: Final = (
    "Hello, the {thing} in {place} {fault}.", "{place}: our {thing} {fault}, please help.",
    "I live in {place} and the {thing} {fault} again.", "Just so you know, the {thing} of {place} {fault}.",
    "Could somebody come? The {thing} in {place} {fault}.", "Since last night the {thing} at {place} {fault}.",
    "The {thing} {fault} in {place}. What now?", "Good morning. In {place} the {thing} {fault}.",
    "My neighbour in {place} says that the {thing} {fault}.", "Again me, {place}. This time the {thing} {fault}.",
    "Sorry to bother you, but the {thing} {fault} here in {place}.", "Report for {place}: the {thing} {fault}.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says, and what the company wants to be answered."""

    user: str
    words: str
    correction: str


def reports(users: int, each: int, seed: int, *, elsewhere: bool = False) -> list[Report]:
    """Make reports, those of different people mixed; `elsewhere` has people and ways of saying things of its own."""
    draw = random.Random(seed)
    ways, who = (_OPENINGS[8:], "guest") if elsewhere else (_OPENINGS[:8], "tenant")
    made = [_report(f"{who}-{user}", ways[user % len(ways)], draw) for user in range(users) for _ in range(each)]
    draw.shuffle(made)
    return made


def _report(user: str, opening: str, draw: random.Random) -> Report:
    thing, fault = draw.choice(list(_THINGS)), draw.choice(list(_FAULTS))
    place = f"{draw.choice(_PLACES)} {draw.randint(1, 399)}"
    return Report(
        user,
        opening.format(thing=thing, place=place, fault=fault),
        f"TICKET {_FAULTS[fault]} | TEAM {_THINGS[thing]} | WHERE {place} | WHAT {thing} {fault}",
    )


def share_right(answers: Sequence[str], made: Sequence[Report]) -> float:
    """How many answers are what the company wants, to the letter, spaces apart."""
    right = sum(answer.split() == report.correction.split() for answer, report in zip(answers, made, strict=True))
    return right / max(1, len(made))
