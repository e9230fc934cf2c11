"""Concepts behind words: one meaning, one feature, in some thirty languages.

`features.featurize_turn` calls this on the user's own words. "Schreib", "escribe" and "напиши" all become
the concept WRITE, so what was learned in one language holds in another. The table (`lexicon.tsv.gz`: concept, form) is
hand-written; matching is dictionary look-ups alone, bounded by the caps below.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from router.features.hashing import Family, Hashes, place_of, words_of

DEFAULT_PATH = Path(__file__).with_name("lexicon.tsv.gz")
MAX_WORDS = 160  # of a text; with more, the first and the last
TAIL_WORDS = 40
MAX_CONCEPTS = 60
LONGEST_PHRASE = 4  # words
LONGEST_RUN = 60  # characters of a word without spaces that are searched for forms inside
LONGEST_INNER = 8
REACH = 4  # concepts this near each other are paired
WEIGHT, APART_WEIGHT = 0.6, 0.4
UNSPACED = "\u0e00\u0e7f\u2e80\ud7ff"  # Thai; Chinese, Japanese (and Korean, whose endings stick to words)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Forms and their concepts.

    Attributes:
        exact: word or phrase (words joined by one space) to concepts.
        stems: beginnings of words to concepts.
        inner: forms found anywhere inside a word of a script without spaces.
        openers: first words of phrases.
        heads: first three letters of stems, and how long the stems are that begin so, the longest first.
    """

    exact: dict[str, tuple[str, ...]]
    stems: dict[str, tuple[str, ...]]
    inner: dict[str, tuple[str, ...]]
    openers: frozenset[str]
    heads: dict[str, tuple[int, ...]]

    def concepts(self, words: Sequence[str]) -> list[str]:
        """Name the concepts in order, at most `MAX_CONCEPTS`; a word gives those of its longest form."""
        found: list[str] = []
        at = 0
        while at < len(words) and len(found) < MAX_CONCEPTS:
            size, named = self._at(words, at)
            found += named
            at += size
        return found[:MAX_CONCEPTS]

    def _at(self, words: Sequence[str], at: int) -> tuple[int, Sequence[str]]:
        """Match at one word: (words used, concepts)."""
        word = words[at]
        if word in self.openers:
            for size in range(min(LONGEST_PHRASE, len(words) - at), 1, -1):
                named = self.exact.get(" ".join(words[at : at + size]))
                if named:
                    return size, named
        if word in self.exact:
            return 1, self.exact[word]
        if not word.isascii() and is_unspaced(word[0]):
            return 1, list(self._inside(word[:LONGEST_RUN]))
        for size in self.heads.get(word[:3], ()):  # a size beyond the word's looks the whole word up
            named = self.stems.get(word[:size])
            if named:
                return 1, named
        return 1, ()

    def _inside(self, run: str) -> Iterator[str]:
        """Match the longest forms inside a run of characters, left to right."""
        at = 0
        while at < len(run):
            for size in range(min(LONGEST_INNER, len(run) - at), 0, -1):
                named = self.inner.get(run[at : at + size])
                if named:
                    yield from named
                    break
            else:
                size = 1
            at += size


def read_lexicon(path: Path) -> Lexicon:
    """Read a table of `concept<TAB>form` lines; a trailing `*` makes a form a stem."""
    exact: dict[str, tuple[str, ...]] = {}
    stems: dict[str, tuple[str, ...]] = {}
    inner: dict[str, tuple[str, ...]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            concept, _, form = line.rstrip("\n").partition("\t")
            words = words_of(form)
            key = " ".join(words)
            if not key:
                continue
            table = exact
            if is_unspaced(key[0]):
                table, key = inner, "".join(words)
            elif form.endswith("*"):
                table = stems if len(words) == 1 else exact
            table[key] = tuple(dict.fromkeys((*table.get(key, ()), concept)))
    openers = frozenset(key.split(" ", 1)[0] for key in exact if " " in key)
    return Lexicon(exact, stems, inner, openers, _heads(stems))


def _heads(stems: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Group stems' lengths by their first three letters, so that a word is tried at few lengths only."""
    sizes: dict[str, set[int]] = {}
    for stem in stems:
        if len(stem) > 2:
            sizes.setdefault(stem[:3], set()).add(len(stem))
    return {head: tuple(sorted(found, reverse=True)) for head, found in sizes.items()}


@lru_cache(maxsize=1)
def shipped_lexicon() -> Lexicon:
    """Read the table that ships with moegate, once."""
    return read_lexicon(DEFAULT_PATH)


def concepts_of(text: str) -> list[str]:
    """Name the concepts of a normalised text in order."""
    return concepts_among(words_of(text))


def concepts_among(words: Sequence[str]) -> list[str]:
    """Name the concepts of a text's words in order."""
    if len(words) > MAX_WORDS:
        words = [*words[: MAX_WORDS - TAIL_WORDS], *words[-TAIL_WORDS:]]
    return shipped_lexicon().concepts(words)


def concept_families(found: Sequence[str]) -> list[Family]:
    """Hash concepts, ordered pairs of neighbours, ordered pairs a few apart, and the leading one."""
    families = _families(found)
    hashes = _hashes([label for labels, _ in families for label in labels])
    ends = list(accumulate(len(labels) for labels, _ in families))
    return [(hashes[start:end], weight) for start, end, (_, weight) in zip([0, *ends], ends, families, strict=False)]


def name_concepts(found: Sequence[str]) -> dict[int, str]:
    """Map buckets back to concepts, for explanations."""
    return {place_of(_hashes([label])[0]): _shown(label) for labels, _ in _families(found) for label in labels}


def _families(found: Sequence[str]) -> list[tuple[list[str], float]]:
    """List what is hashed, by family: nulls keep labels apart from words; twice in a row counts once."""
    once = [name for at, name in enumerate(found) if at == 0 or found[at - 1] != name]
    return [
        ([f"\0{name}" for name in once], WEIGHT),
        ([f"\0{left}\0{right}" for left, right in pairwise(once)], WEIGHT),
        (
            [f"\0{left}\0…\0{right}" for at, left in enumerate(once) for right in once[at + 1 : at + 1 + REACH]],
            APART_WEIGHT,
        ),
        ([f"\0^{name}" for name in once[:1]], WEIGHT),
    ]


def _shown(label: str) -> str:
    """Write a label as people read it."""
    return label[1:].replace("\0…\0", "…").replace("\0", "→")


def _hashes(labels: Sequence[str]) -> Hashes:
    """Hash labels, which no word can collide with by name: they begin with a null."""
    return np.array([zlib.crc32(label.encode()) for label in labels], dtype=np.uint64)


def is_unspaced(char: str) -> bool:
    """Say whether a script writes words without spaces."""
    return UNSPACED[0] <= char <= UNSPACED[1] or UNSPACED[2] <= char <= UNSPACED[3]
