"""Sentences of an answer, each with the document numbers it cites.

The question suite judges citations by sentence, as ALCE does. Marks count for the sentence that they follow, also when
they stand behind its full stop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"\s?\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
# A sentence ends at a terminator and the marks behind it, before a space or the end; or at a line's end.
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?。！？]+[\"'”’)]*(?:\s*\[[\d,\s]+\])*(?=\s|$)|(?=\n)|$)")
_LEAST_WORDS = 3  # less is "Dr." or "J." or "No." rather than a claim, and belongs to what follows


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, its marks taken out, and the numbers in them."""

    text: str
    cited: tuple[int, ...]


def split_sentences(answer: str) -> list[Sentence]:
    """Cut an answer into sentences; a fragment of one or two words without a mark joins the next."""
    sentences: list[Sentence] = []
    held = ""
    for found in _SENTENCE.finditer(answer.strip()):
        whole = f"{held} {found.group().strip()}".strip()
        held = ""
        sentence = Sentence(without_marks(whole), cited_numbers(whole))
        if sentence.cited or len(sentence.text.split()) >= _LEAST_WORDS:
            sentences.append(sentence)
        else:
            held = whole
    return [*sentences, Sentence(held, ())] if held else sentences


def cited_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of all marks, `[1]` and `[1, 2]`, in order."""
    return tuple(int(number) for marks in _MARK.findall(text) for number in marks.split(","))


def without_marks(text: str) -> str:
    """Take the marks out: the "1" of "[1]" is no part of what the answer says."""
    return _MARK.sub("", text).strip()
