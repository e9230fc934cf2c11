"""Token ids to text as they come: exact, and never half a character.

A byte-level vocabulary maps each id to raw bytes, so detokenising is concatenation. A character may be spread over
several tokens, so the bytes go through an incremental UTF-8 decoder. One `Detokenizer` serves one sequence; all
sequences of an engine share the table.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence


def byte_table(vocabulary: Mapping[bytes, int], special: frozenset[int]) -> tuple[bytes, ...]:
    """Return each id's bytes, by id; ids that are special or unknown become nothing."""
    table = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for piece, token in vocabulary.items():
        if token not in special:
            table[token] = piece
    return tuple(table)


class Detokenizer:
    """Text of one sequence. Bytes that are no UTF-8 at all become U+FFFD; a character cut off by the end vanishes."""

    def __init__(self, table: Sequence[bytes]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, tokens: Iterable[int]) -> str:
        """Return the whole characters that these tokens complete."""
        return self._decoder.decode(b"".join(map(self.bytes_of, tokens)))

    def bytes_of(self, token: int) -> bytes:
        """Return a token's bytes; none for a control token."""
        return self._table[token] if token < len(self._table) else b""
