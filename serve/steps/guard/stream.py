"""A text that comes in pieces: what is safe goes on, what may still become a finding waits.

However a text is cut, the same is found in it, and the same text comes out. A piece waits for no longer than the next
one, or the end: the last word alone is held back where nothing has begun. What waits is bounded in characters
(`hold_chars`), and, by whoever calls `release`, in time. Where a bound lets out the beginning of something, the rest of
it is still looked at together with that beginning: a rule that blocks, blocks, and the rest of what was masked is gone.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import CONTEXT, Finding
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import Inspector, disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.plain_text import Places, plain
from serve.steps.guard.rules import Action, Rule

OnHits = Callable[[list[Hit]], None]
Bound = Literal["chars", "ms"]

_BLANK: Final = re.compile(r"\s")
_LONGEST: Final = 9_216  # characters of something begun that are kept once they have gone on; a private key has 8,192
_SLACK: Final = 8  # a text without blanks goes on by this part of what may be held, not letter by letter


@dataclass(slots=True)
class _Begun:
    """Something that a bound let out before it was complete.

    Attributes:
        start: where it begins, in the plain text that has gone on and is kept.
        told: what was found in it as it stood: rule, and where it begins in the whole plain text.
    """

    start: int
    told: set[tuple[str, int]]


class GuardedText:
    """One text.

    Attributes:
        shifts: where the text that has come out differs in length: the place in the text as it came, and by how many
            characters everything after it moves.
    """

    def __init__(
        self,
        inspector: Inspector,
        rules: tuple[Rule, ...],
        masks: Masks,
        on_hits: OnHits,
        *,
        hold_chars: int,
        on_bound: Callable[[Bound], None] = lambda bound: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_hits` is told of what is found, each finding once, and raises where it has to block.

        `on_bound` hears each time that a bound lets out what was not complete.
        """
        self.shifts: list[tuple[int, int]] = []
        self._inspector = inspector
        self._hint = inspector.hint
        self._rules = rules
        self._masks = masks
        self._on_hits = on_hits
        self._hold_chars = hold_chars
        self._on_bound = on_bound
        self._clock = clock
        self._before = ""  # plain text that has gone on: what detectors look back at
        self._begun: _Begun | None = None
        self._held = ""
        self._gone = self._plain_gone = 0
        self._came: deque[tuple[int, float]] = deque()  # pieces that are held: where each ends, and when it came

    @property
    def held_since(self) -> float | None:
        """When the first character that is held back came, by the clock; None where none is."""
        return self._came[0][1] if self._came else None

    def feed(self, piece: str) -> str:
        """Take a piece; returns what may go on.

        Raises:
            ContentBlocked: out of `on_hits`.
        """
        self._held = held = self._held + piece
        length = len(held)
        self._came.append((self._gone + length, self._clock()))
        if length > self._hold_chars:
            return self._settle(self._hold_chars - self._hold_chars // _SLACK)
        if _BLANK.search(piece) is None:
            return ""
        hint = self._hint
        if hint is not None and self._begun is None and hint.search(plain(held)) is None:
            cut = word_start(held, length)
            return self._go_on(held[:cut], cut)
        return self._settle(self._hold_chars)

    def release(self) -> str:
        """It has waited for long enough: all that is held goes on, under the rules as it stands.

        Raises:
            ContentBlocked: likewise.
        """
        return self._settle(0, "ms") if self._held else ""

    def flush(self) -> str:
        """The text has ended; returns the rest of it.

        Raises:
            ContentBlocked: likewise.
        """
        return self._settle(0, is_last=True) if self._held else ""

    def _settle(self, most: int, bound: Bound = "chars", *, is_last: bool = False) -> str:
        """Let go what is safe, and in any case all but `most` characters."""
        held, before = self._held, len(self._before)
        text = self._before + plain(held)
        places = Places(held)
        open_from = len(text) if is_last else self._inspector.open_from(text)
        least = before if is_last else len(text) - most
        begun_at = before if self._begun is None else self._begun.start
        cut = max(before, open_from, least)
        found = [pair for pair in self._inspector.findings(text) if begun_at <= pair[1].start and pair[1].end > before]
        if found:
            cut = max(before, around([finding for _, finding in found], cut, least=least))
        done = [pair for pair in found if pair[1].end <= cut]
        out_to = _cut(places, cut - before, len(text) - before, len(held))
        out = self._out(done, before, places, out_to)
        begun = None
        if open_from < cut and not is_last and (cut > before or self._begun is not None):
            self._on_bound(bound)
            told = {(rule.name, self._place(one, before)) for rule, one in done}
            begun = _Begun(max(begun_at, open_from), told | (self._begun.told if self._begun else set()))
        return self._go_on(out, out_to, begun)

    def _out(self, found: Sequence[tuple[Rule, Finding]], before: int, places: Places, out_to: int) -> str:
        """Tell of what was found, and return what is held up to `out_to`, masked."""
        hits: list[Hit] = []
        further: list[Hit] = []  # what goes on after a part of it has been told of
        for rule, one in found:
            start = max(one.start, before) - before
            hit = Hit(rule, one.entity, *places.original(start, one.end - before))
            is_told = self._begun is not None and (rule.name, self._place(one, before)) in self._begun.told
            (further if is_told else hits).append(hit)
        if hits:
            self._on_hits(hits)
        masked = disjoint([*hits, *further], self._rules)
        skip = 0
        if masked and masked[0].start == 0 and any(hit.rule.action is Action.MASK for hit in further):
            skip = masked.pop(0).end  # its name has gone out
            self.shifts.append((self._gone + skip, -skip))
        for hit in masked:
            name = self._masks.name(hit, self._held[hit.start : hit.end])
            self.shifts.append((self._gone + hit.end, len(name) - (hit.end - hit.start)))
        return self._masks.mask(self._held[:out_to], masked, start=skip)

    def _place(self, found: Finding, before: int) -> int:
        return self._plain_gone - before + found.start

    def _go_on(self, text: str, cut: int, begun: _Begun | None = None) -> str:
        self._begun = begun
        if not cut:
            return text
        held = self._held
        gone = plain(held[:cut])
        if begun is None:
            self._before = (self._before + gone)[-CONTEXT:]
        else:
            self._keep(self._before + gone, begun)
        self._held = held[cut:]
        self._plain_gone += len(gone)
        self._gone = end = self._gone + cut
        came = self._came
        while came and came[0][0] <= end:
            came.popleft()
        return text

    def _keep(self, before: str, begun: _Begun) -> None:
        """Keep of what has gone on what was only begun, as long as it may still be completed."""
        kept_from = max(0, begun.start - CONTEXT)
        if len(before) - kept_from > _LONGEST + CONTEXT:
            kept_from, self._begun = len(before) - CONTEXT, None
        begun.start -= kept_from
        self._before = before[kept_from:]


def around(spans: Sequence[Finding | Hit], cut: int, least: int) -> int:
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
