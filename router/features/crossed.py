"""Pairs of clues: what a prompt looks like, combined with what it says.

A linear model adds clues up, yet numbers mean one thing beside HOWMANY and another beside CODE. `features` therefore
hashes some coarse flags of the structure in pairs, and each flag with each concept, into the same table as the words.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from router.features.hashing import Family, Hashes, place_of
from router.features.structure import STRUCTURE_NAMES, Floats

FLAG_WEIGHT, CONCEPT_WEIGHT = 0.5, 0.5
_MIX = np.uint64(0x9E3779B97F4A7C15)
_AT = {name: at for at, name in enumerate(STRUCTURE_NAMES)}
_FLAGS: tuple[tuple[str, Callable[[Floats], bool]], ...] = (
    ("asks", lambda dense: bool(dense[_AT["ends with a question mark"]])),
    ("a number", lambda dense: bool(dense[_AT["any number"]])),
    ("numbers", lambda dense: bool(dense[_AT["numbers"]] >= 0.3)),
    (
        "code",
        lambda dense: bool(
            dense[_AT["code fence"]] or dense[_AT["line ends like code"]] or dense[_AT["code symbols"]] > 0.2
        ),
    ),
    ("options", lambda dense: bool(dense[_AT["lettered options"]])),
    ("document", lambda dense: bool(dense[_AT["document share"]])),
    ("quotes", lambda dense: bool(dense[_AT["quotation"]])),
    ("no code", lambda dense: bool(dense[_AT["asks for no code"]])),
    ("names", lambda dense: bool(dense[_AT["capitalised words inside"]])),
)
LENGTHS = 9  # steps of the logarithm of the length
_LENGTH_NAMES = tuple(f"length {step}" for step in range(LENGTHS + 1))


def flags_of(dense: Floats) -> list[str]:
    """Name the flags of a prompt's structure features, its length always among them."""
    named = [name for name, holds in _FLAGS if holds(dense)]
    return [*named, _LENGTH_NAMES[int(dense[_AT["log length"]] * LENGTHS)]]


def crossed_families(dense: Floats, concepts: Sequence[str]) -> list[Family]:
    """Hash flags in pairs, and flags with concepts."""
    pairs, halves = _of_flags(tuple(flags_of(dense)))
    said = _codes([f"\0{name}" for name in _said(concepts)])
    return [(pairs, FLAG_WEIGHT), ((halves + said).ravel(), CONCEPT_WEIGHT)]


@lru_cache(maxsize=len(_LENGTH_NAMES) << len(_FLAGS))
def _of_flags(named: tuple[str, ...]) -> tuple[Hashes, Hashes]:
    """Hash pairs of flags (P,), and what each flag adds to its pair with a concept (F, 1); flags are a closed set."""
    flags = _codes(named)
    left, right = np.triu_indices(len(flags), 1)
    return flags[left] * _MIX + flags[right] + np.uint64(11), flags[:, None] * _MIX + np.uint64(13)


def name_crossed(dense: Floats, concepts: Sequence[str]) -> dict[int, str]:
    """Map buckets back to pairs of clues, for explanations."""
    names = flags_of(dense)
    flags = _codes(names)
    said = _said(concepts)
    words = _codes([f"\0{name}" for name in said])
    named: dict[int, str] = {}
    for at, flag in enumerate(names):
        for to in range(at + 1, len(names)):
            named[place_of(flags[at : at + 1] * _MIX + flags[to] + np.uint64(11))] = f"{flag} & {names[to]}"
        for to, word in enumerate(said):
            named[place_of(flags[at : at + 1] * _MIX + words[to] + np.uint64(13))] = f"{flag} & {word}"
    return named


def _said(concepts: Sequence[str]) -> list[str]:
    """Name concepts once each; a prompt without any says so."""
    return list(dict.fromkeys(concepts)) or ["nothing"]


def _codes(names: Sequence[str]) -> Hashes:
    """Hash names to 32 bits."""
    return np.array([zlib.crc32(name.encode()) for name in names], dtype=np.uint64)
