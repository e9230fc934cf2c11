"""Copies of rows as people type them in a hurry: typing errors, lost capitals, no full stop.

`train` learns from each seed and from one such copy of it, so that a misspelt word costs only its own information and
not the whole decision. The copies never change what is asked for, so the labels stay.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from router.features.conversation import Turn
from router.training.dataset import Row

SLIPS = 0.16  # share of words of four letters and more that get one
LOWER, UPPER, NO_MARK = 0.35, 0.15, 0.4  # shares of the copies
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def slipped(rows: Sequence[Row], seed: int) -> list[Row]:
    """Copy rows, in order, the newest user turn typed in haste; rows without one stay as they are."""
    generator = random.Random(seed)
    return [_copy(row, generator) for row in rows]


def slip(text: str, generator: random.Random) -> str:
    """Type a text in haste."""
    words = [_misspelt(word, generator) for word in text.split(" ")]
    typed, case = " ".join(words), generator.random()
    if case < LOWER:
        typed = typed.lower()
    elif case < LOWER + UPPER:
        typed = typed.upper()
    return typed.rstrip("?.!？。") if generator.random() < NO_MARK else typed


def _copy(row: Row, generator: random.Random) -> Row:
    """Copy one row."""
    turns = list(row.query.turns)
    newest = max((at for at, turn in enumerate(turns) if turn.role == "user"), default=None)
    if newest is None:
        return row
    turns[newest] = Turn("user", slip(turns[newest].text, generator))
    return replace(row, query=replace(row.query, turns=tuple(turns)))


def _misspelt(word: str, generator: random.Random) -> str:
    """Swap, lose, double or miss one letter inside some words; names with signs in them stay."""
    if len(word) < 4 or not word.isalpha() or generator.random() > SLIPS:
        return word
    at = generator.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    lost, doubled = word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]
    return generator.choice([swapped, swapped, lost, lost, doubled, word[:at] + _beside(word[at]) + word[at + 1 :]])


def _beside(letter: str) -> str:
    """Name the key to the right of a letter's on an English keyboard; other letters stay."""
    for row in _ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            return row[min(at + 1, len(row) - 1)]
    return letter
