"""An encoder whose vectors say which texts they are of, and which can be held up or broken."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from experts.encoders.encoder import Encoding, Role, TextTooLong


class ScriptedEncoder:
    """A text's vector is its length and its first letter, as far as that goes."""

    dimensions = 2
    max_tokens = 8
    artifact = "hash"

    def __init__(self) -> None:
        self.calls: list[tuple[Role, tuple[str, ...]]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_begun = threading.Event()
        self.breaks_on = ""

    def encode(
        self, texts: Sequence[str], role: Role, *, with_tokens: bool = False, truncate: bool = False
    ) -> Encoding:
        self.calls.append((role, tuple(texts)))
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        for number, text in enumerate(texts):
            if len(text.split()) > self.max_tokens and not truncate:
                raise TextTooLong(f"text {number} has {len(text.split())} tokens; at most {self.max_tokens} are read")
            if self.breaks_on and self.breaks_on in text:
                raise RuntimeError("secret words")
        pooled = np.array([vector_of(text) for text in texts], np.float32)
        tokens = tuple(np.ones((len(text.split()), 2), np.float32) for text in texts) if with_tokens else ()
        return Encoding(pooled, tuple(len(text.split()) for text in texts), tokens)


def vector_of(text: str) -> tuple[float, float]:
    """The vector of a text."""
    return (float(len(text)), float(ord(text[0])))
