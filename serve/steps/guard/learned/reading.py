"""What learned rules read of one request: each text once, and the router goes on with it."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import numpy as np

from router.features.featurize import Features, featurize_turn
from router.features.structure import Floats
from router.model.suspicion import DOCUMENT, MOST_PASTED, Suspicion, chunks, has_sign
from serve.steps.guard.learned.disguise import LOOKED_AT, unveiled

_REMEMBERED: Final = 4_096  # turns that were judged when they were new
_WHOLE_CHUNKS: Final = 48  # of a document; of a longer one its ends, and what has a word of `_ANCHORS`
_ENDS: Final = 12
_MOST_CHUNKS: Final = 256
_ANCHORS: Final = (
    "ignor", "disregard", "forget", "instruct", "assistant", "model", "system", "prompt", " ai", "reveal", "password",
    "respond", "reply", "answer", "output", "instead", "user", "state that", "say ", "vergiss", "anweisung", "oublie",
    "consigne", "olvida", "instruccion", "istruzion", "instruç", "игнор", "инструкц", "забудь", "忽略", "指令", "无视",
    "無視", "指示", "تجاهل", "التعليمات", "निर्देश", "talimat", "무시", "지시",
)  # fmt: skip


class Verdicts:
    """What was said of turns, by a hash of each: a conversation's earlier turns are not read again. Holds no text."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[float, ...]] = OrderedDict()

    def get(self, text: str) -> tuple[float, ...] | None:
        """Return it; None where the turn is new, or was long ago."""
        return self._kept.get(_digest(text))

    def keep(self, text: str, logits: tuple[float, ...]) -> None:
        """Keep it."""
        self._kept[_digest(text)] = logits
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)


class Reader:
    """Reads texts for the rules of one request.

    Attributes:
        read: what has been read, by text.
    """

    def __init__(self, suspicion: Suspicion) -> None:
        self.read: dict[str, Features] = {}
        self.suspicion = suspicion
        self._said: dict[str, tuple[Floats, bool]] = {}

    def features(self, text: str) -> Features:
        """Read a turn."""
        found = self.read.get(text)
        if found is None:
            found = self.read[text] = featurize_turn(text)
        return found

    def logits(self, text: str) -> tuple[Floats, bool]:
        """Return what the heads say of a turn, and whether it bears a jailbreak's sign."""
        found = self._said.get(text)
        if found is None:
            sign = has_sign(text)
            found = self._said[text] = self.suspicion.logits(self.features(text), sign=sign), sign
        return found

    def highest(self, text: str) -> Floats:
        """Return the same of a turn and of what it says under a disguise, the highest of each head."""
        logits, _ = self.logits(text)
        for shown in unveiled(text):
            logits = np.maximum(logits, self.logits(shown)[0])
        return logits

    def pasted(self, text: str) -> float:
        """Return the highest log-odds among the pieces of a long turn, of its ends where it is very long."""
        pieces = list(chunks(text[:LOOKED_AT]))
        return self._highest(pieces if len(pieces) <= MOST_PASTED else [*pieces[: MOST_PASTED - 4], *pieces[-4:]])

    def document(self, text: str) -> float:
        """Return the highest log-odds among the pieces of a document."""
        return self._highest(_pieces(text))

    def _highest(self, pieces: Iterable[str]) -> float:
        highest = -30.0
        for piece in pieces:
            for shown in (piece, *unveiled(piece)):
                highest = max(highest, float(self.suspicion.logits(featurize_turn(shown))[DOCUMENT]))
        return highest


def _pieces(text: str) -> Iterator[str]:
    pieces = list(chunks(text))
    if len(pieces) <= _WHOLE_CHUNKS:
        yield from pieces
        return
    yield from pieces[:_ENDS]
    yield from pieces[-_ENDS:]
    anchored = (piece for piece in pieces[_ENDS:-_ENDS] if _is_anchored(piece.lower()))
    for _, piece in zip(range(_MOST_CHUNKS), anchored, strict=False):
        yield piece


def _is_anchored(low: str) -> bool:
    return any(anchor in low for anchor in _ANCHORS)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
