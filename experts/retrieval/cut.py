"""Cuts a document into passages: whole paragraphs where they fit, whole sentences where one does not.

A passage is about as long as an encoder reads whole (120 words are some 160 tokens). It keeps its document's title and
the headings above it, which say what a pronoun in the middle of a page does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from experts.retrieval.store import Passage

WORDS: Final = 120
"""Of a passage, at most; a longer sentence is cut."""
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？…])[\"'”’)\]]*\s+|(?<=[。！？])")
_MOST_TITLE: Final = 200  # characters
_WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_WIDE_A_WORD: Final = 2  # characters of a script without spaces that weigh as much as a word


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a document that its reader keeps together: a paragraph, a page, a row.

    Attributes:
        text: its words.
        place: what it is called, such as `page 2`; empty where `line` tells.
        line: its first line, from 1; 0 where there are none.
        title: the headings above it.
    """

    text: str
    place: str = ""
    line: int = 0
    title: str = ""

    @property
    def last_line(self) -> int:
        """Its last line; 0 where there are none."""
        return self.line + self.text.count("\n") if self.line else 0


def cut(file: str, parts: Iterable[Part]) -> list[Passage]:
    """Cut a document's parts; equal documents give equal passages with equal ids."""
    passages: list[Passage] = []
    seen: dict[str, int] = {}
    for group in _groups(parts):
        text = "\n\n".join(part.text for part in group)
        digest = hashlib.sha256(f"{file}\0{group[0].title}\0{text}".encode()).hexdigest()[:24]
        seen[digest] = seen.get(digest, 0) + 1  # a text that stands in a file twice has two passages
        title = " ".join(group[0].title.split())[:_MOST_TITLE]
        passages.append(Passage(f"{digest}-{seen[digest]}", file, title, _place(group), text))
    return passages


def weight(text: str) -> int:
    """Count words as an encoder feels them: of a script without spaces, characters."""
    wide = len(_WIDE.findall(text))
    return len(text.split()) + wide // _WIDE_A_WORD


def _groups(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Put neighbours of one title and place together while they fit."""
    group: list[Part] = []
    size = 0
    for part in _small(parts):
        here = weight(part.text)
        together = group and (group[0].title, group[0].place) == (part.title, part.place)
        if group and not (together and size + here <= WORDS):
            yield group
            group, size = [], 0
        group.append(part)
        size += here
    if group:
        yield group


def _small(parts: Iterable[Part]) -> Iterator[Part]:
    """Cut each part that is too long at sentences, and a sentence that is too long at words."""
    for part in parts:
        if weight(part.text) <= WORDS:
            if part.text.strip():
                yield part
            continue
        line = part.line
        for text in _sentences(part.text):
            if text.strip():
                yield Part(text.strip(), part.place, line, part.title)
            line += text.count("\n") if line else 0


def _sentences(text: str) -> Iterator[str]:
    """Split at sentences and put as many together as fit; nothing is lost but blanks at the cuts."""
    held = ""
    for sentence in _pieces(text):
        if held and weight(held) + weight(sentence) > WORDS:
            yield held
            held = ""
        held += sentence
    if held:
        yield held


def _pieces(text: str) -> Iterator[str]:
    start = 0
    for end in [*(found.end() for found in _SENTENCE.finditer(text)), len(text)]:
        yield from _short(text[start:end])
        start = end


def _short(sentence: str) -> Iterator[str]:
    """Cut a sentence that is too long at blanks, or anywhere where there are none."""
    while weight(sentence) > WORDS:
        at = _cut_at(sentence)
        yield sentence[:at]
        sentence = sentence[at:]
    if sentence:
        yield sentence


def _cut_at(sentence: str) -> int:
    words = 0
    for found in re.finditer(r"\S+\s*", sentence):
        words += weight(found[0])
        if words > WORDS:
            return found.start() or WORDS * _WIDE_A_WORD
    return len(sentence)


def _place(group: Sequence[Part]) -> str:
    first, last = group[0], group[-1]
    if first.place or not first.line:
        return first.place
    return f"line {first.line}" if last.last_line == first.line else f"lines {first.line}-{last.last_line}"
