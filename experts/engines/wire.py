"""The messages between the replica and its engine process, and how they are sent.

Commands go down (`Launch` first, then `Submit` and `Abort`), lists of events come up, one list a step. Each message is
pickled behind its length: both ends are the same code on a private socket pair. Clocks are `time.monotonic`, which all
processes of one machine share.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from experts.catalog.spec import ExpertSpec
from experts.engine import Capabilities, Completion, EngineError, GenerationInput, TokenDelta

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Weights:
    """A local artefact and its content hash."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Launch:
    """The first command: what to load."""

    spec: ExpertSpec
    weights: Weights


@dataclass(frozen=True, slots=True)
class Submit:
    """A new sequence."""

    sequence: int
    request: GenerationInput
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Nobody reads this sequence any more; answered by `Released` unless it ended first."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine has loaded and warmed up."""

    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Started:
    """The sequence has left the queue and is in the batch."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Released:
    """An aborted sequence has left the engine."""


Command = Launch | Submit | Abort
Progress = Started | Released | TokenDelta | Completion | EngineError
Event = tuple[int, Progress]
Report = Ready | EngineError | list[Event]


def pack(message: Command | Report) -> bytes:
    """Serialise one message behind its length."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Cuts a byte stream back into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Command | Report]:
        """Yield the messages that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(body)
