"""An answer that services are asked about: window by window, so that a stream does not have to wait for its end.

Text waits until `window` characters have come, its end, or until it has waited for long enough. Then the services hear
the answer up to there, and it goes on if they let it. Windows are counted in characters: how the expert's messages are
cut changes nothing. A call's arguments are whole by the time they come here, and are asked about as what they say.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from protos import expert_pb2 as pb
from serve.steps.guard.called.rules import FLAGGED, CalledRules
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Rule, Stage
from serve.steps.guard.stream import around
from serve.steps.guard.tally import Tally

_ASKED: Final = 8_000  # characters of an answer that a service hears: the last ones
_OVERLAP: Final = 64  # characters at a window's end in which a place that is masked may have only begun


@dataclass(frozen=True, slots=True)
class Services:
    """Who is asked about an answer.

    Attributes:
        called: the services' rules.
        rules: all rules in their order, for what two of them mask.
        question: the user's newest turn.
    """

    called: CalledRules
    rules: tuple[Rule, ...]
    question: str


class JudgedAnswer:
    """One answer.

    Attributes:
        shifts: see `GuardedText.shifts`; places are of the text as it came here.
        held_since: when the first character that is held back came, by the clock; None where none is.
    """

    def __init__(
        self, services: Services, masks: Masks, tally: Tally, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.shifts: list[tuple[int, int]] = []
        self.held_since: float | None = None
        self._services = services
        self._window = services.called.window_chars
        self._overlap = _OVERLAP if services.called.may_mask else 0
        self._masks = masks
        self._tally = tally
        self._clock = clock
        self._before = ""  # what has gone on, as it came
        self._held = ""
        self._gone = self._tokens = 0
        self._told: set[str] = set()  # rules whose verdict on the answer as a whole is known

    async def passed(self, chunk: pb.GenerateChunk | None, since: float | None = None) -> pb.GenerateChunk | None:
        """Return what of a message may go on; None where all of it waits. `since`: when its text came.

        Raises:
            ContentBlocked: a service has the rest of the answer blocked.
            BrokenRule: there is no verdict, and the rule fails closed.
        """
        if chunk is None:
            return None
        if chunk.text:
            if self.held_since is None:
                self.held_since = self._clock() if since is None else since
            self._held += chunk.text
            chunk.text = await self._windows()
        for call in chunk.tool_calls:
            call.arguments = await self._arguments(call.arguments)
        if not chunk.text and not chunk.tool_calls:
            self._tokens += chunk.token_count
            return None
        chunk.token_count, self._tokens = chunk.token_count + self._tokens, 0
        return chunk

    async def released(self, chunk: pb.GenerateChunk | None) -> pb.GenerateChunk | None:
        """Text has waited for long enough, or ended: have all of it judged; return `chunk` with it.

        Raises:
            ContentBlocked, BrokenRule: as `passed` does.
        """
        text = await self._judged(len(self._held), overlap=0) if self._held else ""
        if not text:
            return chunk
        chunk = pb.GenerateChunk() if chunk is None else chunk
        chunk.text += text
        chunk.token_count, self._tokens = chunk.token_count + self._tokens, 0
        return chunk

    async def _windows(self) -> str:
        out = []
        while len(self._held) >= self._window:
            out.append(await self._judged(self._window, overlap=self._overlap))
        return "".join(out)

    async def _judged(self, size: int, *, overlap: int) -> str:
        """Have the next characters judged along with what came before; returns what of them goes on."""
        piece = self._held[:size]
        asked = (self._before + piece)[-max(_ASKED, size) :]
        before = len(asked) - size
        said = await self._ask(asked)
        whole = [hit for hit in said if hit.entity == FLAGGED and hit.rule.name not in self._told]
        self._told.update(hit.rule.name for hit in whole)
        spans = [
            replace(hit, start=max(0, hit.start - before), end=hit.end - before)
            for hit in said
            if hit.entity != FLAGGED and hit.end > before
        ]
        cut = around(spans, size - overlap, least=0)
        done = [hit for hit in spans if hit.end <= cut]
        self._tally.take([*whole, *done], Stage.OUTPUT)
        masked = disjoint(done, self._services.rules)
        for hit in masked:
            name = self._masks.name(hit, piece[hit.start : hit.end])
            self.shifts.append((self._gone + hit.end, len(name) - (hit.end - hit.start)))
        self._before = (self._before + piece[:cut])[-_ASKED:]
        self._held = self._held[cut:]
        self._gone += cut
        self.held_since = self._clock() if self._held else None
        return self._masks.mask(piece[:cut], masked)

    async def _arguments(self, written: str) -> str:
        """Have a call's arguments judged; what nothing is masked in is returned as it was written."""
        try:
            said = orjson.loads(written)
        except orjson.JSONDecodeError:  # cut off: it is read as it stands
            said = written
        strings = list(_strings(said))
        hits = await self._ask("\n".join(strings))
        self._tally.take(hits, Stage.OUTPUT)
        masked = disjoint([hit for hit in hits if hit.entity != FLAGGED], self._services.rules)
        if not masked:
            return written
        new, at = [], 0
        for string in strings:
            inside = [
                replace(hit, start=max(0, hit.start - at), end=min(len(string), hit.end - at))
                for hit in masked
                if hit.start < at + len(string) and hit.end > at
            ]
            new.append(self._masks.mask(string, inside))
            at += len(string) + 1
        built = _with_strings(said, iter(new))
        return built if said is written else orjson.dumps(built).decode()

    async def _ask(self, text: str) -> list[Hit]:
        return await self._services.called.found_in(text, Stage.OUTPUT, self._services.question)


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    """Names and values, in their order."""
    match value:
        case dict():
            for name, inner in value.items():
                yield name
                yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)
        case _:
            yield value if isinstance(value, str) else str(value)


def _with_strings(value: Any, strings: Iterator[str]) -> Any:  # noqa: ANN401  # JSON
    """The same JSON with these in place of its names and values; a number that stays as it is stays a number."""
    match value:
        case dict():
            return {next(strings): _with_strings(inner, strings) for inner in value.values()}
        case list():
            return [_with_strings(inner, strings) for inner in value]
    new = next(strings)
    return value if new == (value if isinstance(value, str) else str(value)) else new
