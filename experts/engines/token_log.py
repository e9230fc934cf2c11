"""What is told of a sequence's tokens one by one: each waits here until its text has left.

A token goes with the text in which its first byte stands. So the tokens that are told make up the answer's text, and
nothing is told of a stop string, of control tokens or of half a character at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from experts.engine import TokenLogprob
from experts.engines.detokenizer import Detokenizer


class TokenLog:
    """The log probabilities of one sequence."""

    def __init__(self, detokenizer: Detokenizer) -> None:
        self._detokenizer = detokenizer
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()  # each with the place of its first byte
        self._made = self._left = 0  # bytes

    def add(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """Take tokens as the engine makes them."""
        for token, logprob in zip(tokens, logprobs, strict=True):
            if piece := self._detokenizer.bytes_of(token):
                self._waiting.append((self._made, TokenLogprob(piece, logprob)))
                self._made += len(piece)

    def release(self, text: str) -> tuple[TokenLogprob, ...]:
        """Return the tokens of the text that leaves now."""
        self._left += len(text.encode("utf-8", "surrogatepass"))
        told: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][0] < self._left:
            told.append(self._waiting.popleft()[1])
        return tuple(told)
