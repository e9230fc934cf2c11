"""One encoder, many callers: texts wait in two lines, queries before passages, and are encoded a batch at a time.

A batch holds texts of several callers. Nobody's long list keeps the others waiting: it goes in pieces, and between two
pieces a query is let in. A caller who has left, or whose deadline has passed, has no further text encoded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from experts.encoders.encoder import Encode, Encoding, Role, joined
from experts.engine import DeadlineExceeded, EngineDead, EngineError, QueueFull

_ORDER: Final = (Role.QUERY, Role.PASSAGE)


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller wants of its texts; see `Encode.encode`. Texts of equal options share a batch."""

    role: Role
    with_tokens: bool = False
    truncate: bool = False


@dataclass(slots=True, eq=False)
class _Piece:
    """Some of a caller's texts, few enough for one batch."""

    texts: Sequence[str]
    options: Options
    deadline_s: float | None
    done: asyncio.Future[Encoding] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    begun_s: float = 0.0

    def is_wanted(self, now_s: float) -> bool:
        """Whether somebody still waits for it; who waits in vain is told."""
        if not self.done.done() and self.deadline_s is not None and now_s > self.deadline_s:
            self.done.set_exception(DeadlineExceeded("the deadline passed before the texts were encoded"))
        return not self.done.done()


@dataclass(frozen=True, slots=True)
class Served:
    """An encoding, and its times in seconds: in the line, and from the first piece's beginning to the end."""

    encoding: Encoding
    queue_s: float
    encode_s: float


class EncoderQueue:
    """Shares an encoder. One event loop calls it; a thread of its own does the work."""

    def __init__(
        self,
        encoder: Encode,
        *,
        max_batch_size: int = 16,
        max_queue_len: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the encoder.

        Args:
            encoder: which.
            max_batch_size: texts of a batch.
            max_queue_len: texts that may wait.
            clock: seconds.
        """
        self._encoder = encoder
        self._max_batch_size = max_batch_size
        self._max_queue_len = max_queue_len
        self._clock = clock
        self._lines: dict[Role, deque[_Piece]] = {role: deque() for role in _ORDER}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._worker: asyncio.Task[None] | None = None
        self._has_work = asyncio.Event()
        self._failure = ""

    @property
    def encoder(self) -> Encode:
        """What it shares."""
        return self._encoder

    @property
    def waiting(self) -> int:
        """Texts in the lines that somebody waits for."""
        return sum(len(piece.texts) for line in self._lines.values() for piece in line if not piece.done.done())

    async def encode(self, texts: Sequence[str], options: Options, deadline_s: float | None = None) -> Served:
        """Encode texts; who cancels has none encoded that has not begun.

        Args:
            texts: at least one.
            options: what is wanted of them.
            deadline_s: on the clock; None: none.

        Raises:
            TextTooLong: a text is.
            QueueFull: too many texts wait.
            DeadlineExceeded: the deadline passed.
            EngineDead: the encoder has failed.
        """
        self.check_health()
        if self.waiting + len(texts) > self._max_queue_len:
            raise QueueFull("too many texts wait for the encoder")
        self._worker = self._worker or asyncio.create_task(self._work())
        asked_s = self._clock()
        starts = range(0, len(texts), self._max_batch_size)
        pieces = [_Piece(texts[start : start + self._max_batch_size], options, deadline_s) for start in starts]
        self._lines[options.role].extend(pieces)
        self._has_work.set()
        try:
            parts = await asyncio.gather(*(piece.done for piece in pieces))
        finally:
            for piece in pieces:
                piece.done.cancel()
        begun_s = pieces[0].begun_s
        return Served(joined(parts), begun_s - asked_s, self._clock() - begun_s)

    def check_health(self) -> None:
        """Return when the encoder is well.

        Raises:
            EngineDead: it has failed.
        """
        if self._failure:
            raise EngineDead(self._failure)

    async def stop(self) -> None:
        """Fail whoever waits, and let go of the thread."""
        self._fail("the encoder was stopped")
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._failure:
            batch = self._next_batch()
            if not batch:
                self._has_work.clear()
                await self._has_work.wait()
                continue
            try:
                parts = await loop.run_in_executor(self._thread, self._encode, batch)
            except asyncio.CancelledError:
                _tell(batch, EngineDead("the encoder was stopped"))
                raise
            except Exception as error:  # whatever the library raises: nobody may wait for a dead encoder
                _tell(batch, EngineDead("the encoder failed"))
                self._fail(f"the encoder failed: {type(error).__name__}")
                return
            for piece, part in zip(batch, parts, strict=True):
                _settle(piece, part)

    def _next_batch(self) -> list[_Piece]:
        """Take pieces of equal options from the first line that has any, as many as a batch holds."""
        now_s = self._clock()
        line = next((self._lines[role] for role in _ORDER if self._lines[role]), None)
        batch: list[_Piece] = []
        size = 0
        while line and size + len(line[0].texts) <= self._max_batch_size:
            if batch and line[0].options != batch[0].options:
                break
            piece = line.popleft()
            if piece.is_wanted(now_s):
                piece.begun_s = now_s
                batch.append(piece)
                size += len(piece.texts)
        return batch or (self._next_batch() if any(self._lines.values()) else [])

    def _encode(self, batch: Sequence[_Piece]) -> list[Encoding | EngineError]:
        """Encode a batch at once; where a text is refused, each piece alone, so that only its caller hears of it."""
        try:
            whole = self._call([text for piece in batch for text in piece.texts], batch[0].options)
        except EngineError as error:
            return [error] if len(batch) == 1 else [self._encode([piece])[0] for piece in batch]
        parts: list[Encoding | EngineError] = []
        start = 0
        for piece in batch:
            parts.append(whole.part(start, start + len(piece.texts)))
            start += len(piece.texts)
        return parts

    def _call(self, texts: Sequence[str], options: Options) -> Encoding:
        return self._encoder.encode(texts, options.role, with_tokens=options.with_tokens, truncate=options.truncate)

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        for line in self._lines.values():
            _tell(line, EngineDead(self._failure))
            line.clear()


def _settle(piece: _Piece, part: Encoding | EngineError) -> None:
    if piece.done.done():
        return
    if isinstance(part, EngineError):
        piece.done.set_exception(part)
    else:
        piece.done.set_result(part)


def _tell(pieces: Sequence[_Piece] | deque[_Piece], error: EngineError) -> None:
    for piece in pieces:
        _settle(piece, error)
