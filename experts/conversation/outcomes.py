"""An answer that begins with its outcome: a call, a question, an answer with its sources, or none.

A small model decoded greedily says the likeliest first word, and outcomes that begin in many ways lose against one that
begins in one. So an expert's recipe may teach it to begin with the outcome itself, one fixed mark for each: what it is
going to say is then decided in one step, and how sure it is can be read there. `OutcomeReader` turns what the model
writes into what a client reads: a mark goes, and sources that came first go to the end. Only the mark waits, a few
tokens. Which of these an expert writes is in its catalogue entry (`outcomes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from experts.catalog.spec import OutcomeName

MARKS: Final[Mapping[OutcomeName, str]] = MappingProxyType(
    {"ask": "<ask>", "decline": "<none>", "unknown": "<unknown>"}
)
"""The outcomes that are a mark and then words: a parameter is missing, no tool fits, the documents do not say.

The others tell themselves: `call` is a call's own tag, `cited` the numbers of the documents that are used, as `[n]`.
"""
_MOST_CITED: Final = 8
_CITED: Final = re.compile(rf"((?:\[[0-9]{{1,3}}\]){{1,{_MOST_CITED}}})\s")
_CITING: Final = re.compile(rf"(?:\[[0-9]{{1,3}}\]){{0,{_MOST_CITED}}}(?:\[[0-9]{{0,3}})?\s*")
_MOST_SPACE: Final = 8  # characters before the outcome: an answer that begins with more has none
_END: Final = re.compile(r"[\s.。।]*\Z")


def cited_first(answer: str, sources: Iterable[int]) -> str:
    """Write an answer as the model writes it: the documents' numbers, then the words."""
    return f"{''.join(f'[{number}]' for number in sources)} {answer}"


class OutcomeReader:
    """Reads one answer whose beginning may be one of some outcomes."""

    def __init__(self, outcomes: Iterable[OutcomeName]) -> None:
        names = frozenset(outcomes)
        self._marks = tuple(mark for name, mark in MARKS.items() if name in names)
        self._may_cite = "cited" in names
        self._is_told = not names
        self._held = ""
        self._sources = ""

    def push(self, text: str) -> str:
        """Take more text; return what may leave."""
        text = self._held + text
        if not self._is_told:
            if self._is_open(text):
                self._held = text
                return ""
            text = self._begin(text)
        end = _END.search(text).start() if self._sources else len(text)  # type: ignore[union-attr]  # matches nothing
        self._held = text[end:]
        return text[:end]

    def close(self, *, is_cut: bool) -> str:
        """Return what was held back, the sources before its full stop; `is_cut`: the text ended in mid-sentence."""
        text = self._held if self._is_told else self._begin(self._held)
        self._held = ""
        if not self._sources:
            return text
        stop = text.strip() or ("" if is_cut else ".")
        return f" {self._sources}{stop}"

    def _is_open(self, text: str) -> bool:
        """Say whether more text may decide which outcome this is, or is still the space behind its mark."""
        said = text.lstrip()
        if len(text) - len(said) > _MOST_SPACE:
            return False
        if any(mark.startswith(said.rstrip()) for mark in self._marks):
            return True
        return self._may_cite and _CITING.fullmatch(said) is not None

    def _begin(self, text: str) -> str:
        """Take the outcome off, whatever it is."""
        self._is_told = True
        said = text.lstrip()
        if len(text) - len(said) > _MOST_SPACE:
            return text
        mark = next((mark for mark in self._marks if said.startswith(mark)), "")
        if mark:
            return said.removeprefix(mark).lstrip()
        cited = _CITED.match(said) if self._may_cite else None
        if cited is None:
            return text
        self._sources = cited[1]
        return said[cited.end() :].lstrip()
