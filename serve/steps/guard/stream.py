"""A text that comes in pieces: what is safe goes on, what may still become a finding waits.

However a text is cut, the same is found in it, and the same text comes out. A piece waits for no longer than the next
one, or the end: the last word alone is held back where nothing has begun.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from serve.steps.guard.compiled import Inspector, disjoint
from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import CONTEXT, Finding
from serve.steps.guard.hit import Hit
from serve.steps.guard.masks import Masks
from serve.steps.guard.plain_text import Places, plain
from serve.steps.guard.rules import Rule

OnHits = Callable[[list[Hit]], None]

_BLANK: Final = re.compile(r"\s")


class GuardedText:
    """One text.

    Attributes:
        shifts: where the text that has come out differs in length: the place in the text as it came, and by how many
            characters everything after it moves.
    """

    def __init__(
        self, inspector: Inspector, rules: tuple[Rule, ...], masks: Masks, on_hits: OnHits, *, hold_chars: int
    ) -> None:
        """`on_hits` is told of what is found, each finding once, and raises where it has to block."""
        self.shifts: list[tuple[int, int]] = []
        self._inspector = inspector
        self._rules = rules
        self._masks = masks
        self._on_hits = on_hits
        self._hold_chars = hold_chars
        self._before = ""  # plain text that has gone on: what detectors look back at
        self._held = ""
        self._gone = 0

    def feed(self, piece: str) -> str:
        """Take a piece; returns what may go on.

        Raises:
            ContentBlocked: out of `on_hits`.
        """
        self._held += piece
        if len(self._held) <= self._hold_chars:
            if _BLANK.search(piece) is None:
                return ""
            hint = self._inspector.hint
            if hint is not None and hint.search(plain(self._held)) is None:
                cut = word_start(self._held, len(self._held))
                return self._go_on(self._held[:cut], cut)
        return self._settle(is_last=False)

    def flush(self) -> str:
        """The text has ended; returns the rest of it.

        Raises:
            ContentBlocked: likewise.
        """
        return self._settle(is_last=True) if self._held else ""

    def _settle(self, *, is_last: bool) -> str:
        held, before = self._held, len(self._before)
        text = self._before + plain(held)
        places = Places(held)
        open_from = len(text) if is_last else max(before, self._inspector.open_from(text), len(text) - self._hold_chars)
        found = [pair for pair in self._inspector.findings(text) if pair[1].start >= before]
        if found:
            spans = [finding for _, finding in found]
            open_from = _around(spans, open_from, least=before if is_last else len(text) - self._hold_chars)
        hits = [
            Hit(rule, one.entity, *places.original(one.start - before, one.end - before))
            for rule, one in found
            if one.end <= open_from
        ]
        cut = _cut(places, open_from - before, len(text) - before, len(held))
        if hits:
            self._on_hits(hits)
        masked = disjoint(hits, self._rules)
        for hit in masked:
            self.shifts.append(
                (self._gone + hit.end, len(self._masks.name(hit, held[hit.start : hit.end])) - (hit.end - hit.start))
            )
        return self._go_on(self._masks.mask(held[:cut], masked), cut)

    def _go_on(self, text: str, cut: int) -> str:
        self._before = (self._before + plain(self._held[:cut]))[-CONTEXT:]
        self._held = self._held[cut:]
        self._gone += cut
        return text


def _around(spans: Sequence[Finding], cut: int, least: int) -> int:
    """Move a cut that goes through spans to before them, or to behind them where that would be before `least`."""
    place = cut
    for span in sorted(spans, key=lambda span: -span.end):
        if span.start < place < span.end:
            place = span.start
    if place > least:
        return place
    for span in sorted(spans, key=lambda span: span.start):
        if span.start < cut < span.end:
            cut = span.end
    return cut


def _cut(places: Places, plain_place: int, plain_length: int, length: int) -> int:
    """Where a text is cut so that its plain form is cut at `plain_place`."""
    if plain_place >= plain_length:
        return length
    return places.original(plain_place, plain_place + 1)[0]
