"""Hears every request and hands those to be kept to the writer: all that happens on a request's own path.

A request whose caller, expert or share of the sample is not to be kept costs a look into a dictionary a message.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol
from zlib import crc32

from protos import expert_pb2 as pb
from serve.interactions.kept import Ended
from serve.settings.interactions import InteractionsSettings
from serve.telemetry.observer import Observer
from serve.telemetry.record import OK, RequestRecord

_EVERYBODY: Final = "*"
_UNDECIDED: Final[list[pb.GenerateChunk]] = []


class Taker(Protocol):
    """Takes what is to be kept; `serve.interactions.writer.Writer` does. Never waits, never raises."""

    def take(self, ended: Ended) -> None:
        """Take it, or count it as lost."""
        ...


class InteractionObserver(Observer):
    """Collects the messages of answers that are to be kept."""

    def __init__(
        self,
        settings: InteractionsSettings,
        taker: Taker,
        artifact_of: Callable[[str], str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`artifact_of` tells the digest of the weights that an expert serves."""
        self._keys = frozenset(settings.keys)
        self._is_everybody = _EVERYBODY in self._keys
        self._experts = frozenset(settings.experts)
        self._below = settings.sample * 2**32
        self._taker = taker
        self._artifact_of = artifact_of
        self._clock = clock

    def message(self, record: RequestRecord, chunk: pb.GenerateChunk) -> None:
        """Keep hold of a message, if its answer is to be kept."""
        chunks: list[pb.GenerateChunk] | None = record.of_step.get(self, _UNDECIDED)
        if chunks is _UNDECIDED:
            chunks = record.of_step[self] = [] if self._is_wanted(record) else None
        if chunks is not None:
            chunks.append(chunk)

    def ended(self, record: RequestRecord) -> None:
        """Hand a whole answer over; one that broke off or was refused is none."""
        chunks: list[pb.GenerateChunk] | None = record.of_step.get(self)
        if not chunks or record.outcome != OK or record.completion is None:
            return
        asked = record.prepared.input
        size = len(asked) if isinstance(asked, str) else asked.ByteSize()
        size += sum(map(_size, chunks))
        self._taker.take(Ended(self._clock(), record, chunks, self._artifact_of(record.expert), size))

    def _is_wanted(self, record: RequestRecord) -> bool:
        request = record.request
        return (
            request.keeping.is_allowed
            and (self._is_everybody or request.caller.name in self._keys)
            and (not self._experts or record.expert in self._experts)
            and crc32(request.id.encode()) < self._below
        )


_size: Final = pb.GenerateChunk.ByteSize
