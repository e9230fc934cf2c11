"""Harmless changes to a request, for `robustness`: the meaning stays, the letters change.

Each takes a text and a random generator and returns a text. Nothing here is used in training or serving.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from router.features.featurize import Turn
from router.training.dataset import Row

Change = Callable[[str, np.random.Generator], str]

OPENERS = ("Please help me with this: ", "hi there! ", "Quick one. ", "I was wondering, ", "Could you help? ", "Hey, ")
CLOSERS = (" Thanks in advance!", " please", " Take your time.", " Thank you so much!", " thx")
TYPO_EVERY = 8  # words
SHORTEST = 4  # letters of a word that gets a typo


def typo(text: str, random: np.random.Generator) -> str:
    """Swap, drop or double a letter in one word of eight, at least one."""
    words = text.split(" ")
    for _ in range(max(1, len(words) // TYPO_EVERY)):
        at = int(random.integers(len(words)))
        word = words[at]
        if len(word) >= SHORTEST:
            cut = int(random.integers(len(word) - 1))
            middle = (word[cut + 1] + word[cut], "", word[cut] * 2 + word[cut + 1])[int(random.integers(3))]
            words[at] = word[:cut] + middle + word[cut + 2 :]
    return " ".join(words)


def lower(text: str, random: np.random.Generator) -> str:
    """Lose all capitals."""
    return text.lower()


def upper(text: str, random: np.random.Generator) -> str:
    """Shout."""
    return text.upper()


def unpunctuated(text: str, random: np.random.Generator) -> str:
    """Lose the final mark."""
    return text.rstrip("?!. ？。！؟")


def wrapped(text: str, random: np.random.Generator) -> str:
    """Add politeness around it."""
    return OPENERS[int(random.integers(len(OPENERS)))] + text + CLOSERS[int(random.integers(len(CLOSERS)))]


CHANGES: dict[str, Change] = {
    "typos": typo,
    "lower case": lower,
    "upper case": upper,
    "no final mark": unpunctuated,
    "polite wrapper": wrapped,
}


def seeded(change: Change, random: np.random.Generator) -> Callable[[str], str]:
    """Bind a change to its generator."""
    return lambda text: change(text, random)


def changed(row: Row, change: Callable[[str], str]) -> Row:
    """Change the newest user turn of a row."""
    turns = list(row.query.turns)
    at = max((at for at, turn in enumerate(turns) if turn.role == "user"), default=None)
    if at is not None:
        turns[at] = Turn("user", change(turns[at].text))
    return replace(row, query=replace(row.query, turns=tuple(turns)))
