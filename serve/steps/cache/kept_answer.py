"""An answer that is kept: the decision as carried out, and the expert's messages, one by one."""

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from protos import expert_pb2 as pb
from router.decision import Candidate, Reason, RouteDecision
from serve.steps.step import Source

_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """One answer, whole: its last message carries the completion."""

    decision: RouteDecision
    chunks: Sequence[pb.GenerateChunk]

    @property
    def completion(self) -> pb.Completion:
        """The expert's own account of it."""
        return self.chunks[-1].completion

    def pack(self) -> bytes:
        """Serialise it: the decision as JSON, then each message, all behind their lengths."""
        ranking = [candidate._asdict() for candidate in self.decision.ranking]
        decision = orjson.dumps(self.decision._asdict() | {"ranking": ranking})
        pieces = [decision, *(chunk.SerializeToString() for chunk in self.chunks)]
        return b"".join(_LENGTH.pack(len(piece)) + piece for piece in pieces)

    @classmethod
    def unpack(cls, raw: bytes) -> "KeptAnswer":
        """Read what `pack` has written."""
        pieces, at = [], 0
        while at < len(raw):
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(raw, at)[0]
            pieces.append(raw[start:at])
        fields = orjson.loads(pieces[0])
        ranking = tuple(Candidate(**candidate) for candidate in fields.pop("ranking"))
        decision = RouteDecision(ranking=ranking, reason=Reason(fields.pop("reason")), **fields)
        return cls(decision, [pb.GenerateChunk.FromString(piece) for piece in pieces[1:]])


class Recalled:
    """Plays an answer that was kept, message by message."""

    def __init__(self, kept: KeptAnswer) -> None:
        self.decision = kept.decision
        self._left = deque(kept.chunks)

    @property
    def is_ready(self) -> bool:
        """Whether a message is left."""
        return bool(self._left)

    async def read(self) -> pb.GenerateChunk:
        """The next message."""
        return self._left.popleft()

    def wake(self) -> None:
        """Nothing waits here."""


class Recording:
    """Passes an answer on and keeps its messages, up to a size."""

    def __init__(self, source: Source, max_bytes: int) -> None:
        self.decision = source.decision
        self._source = source
        self._left = max_bytes
        self._chunks: list[pb.GenerateChunk] = []

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""
        return self._source.is_ready

    async def read(self) -> pb.GenerateChunk:
        """The next message."""
        chunk = await self._source.read()
        size = chunk.ByteSize()
        self._left -= size
        if self._left >= 0 and size:
            self._chunks.append(chunk)
        return chunk

    def wake(self) -> None:
        """Have the read that waits, or the next one that would, return an empty message."""
        self._source.wake()

    @property
    def kept(self) -> KeptAnswer | None:
        """The answer, if it is whole and small enough to keep."""
        is_whole = self._left >= 0 and bool(self._chunks) and self._chunks[-1].HasField("completion")
        return KeptAnswer(self.decision, self._chunks) if is_whole else None
