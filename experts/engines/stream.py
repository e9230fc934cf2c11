"""The consumer's end of one sequence: what an engine has made and nobody has read yet.

`experts.engines.process` fills it from the engine's events; `generate` iterates over it. Tokens that pile up while the
consumer is busy become one delta; a single token is sent at once. The sequence's token limit bounds what can pile up.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from experts.engine import Completion, EngineError, TokenDelta


class TokenStream:
    """A one-producer, one-consumer asynchronous iterator that coalesces."""

    def __init__(self) -> None:
        self._pending = TokenDelta("", 0)
        self._end: Completion | EngineError | None = None
        self._is_read_out = False
        self._something = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the producer has said its last word."""
        return self._end is not None

    def feed(self, item: TokenDelta | Completion | EngineError) -> None:
        """Take what the engine has made; nothing after the end counts."""
        if self._end is not None:
            return
        if isinstance(item, TokenDelta):
            self._pending += item
        else:
            self._end = item
        self._something.set()

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> TokenDelta | Completion:
        """Wait for the next delta or the end.

        Raises:
            EngineError: the sequence failed; what it told before was yielded first.
        """
        await self._something.wait()
        if self._is_read_out:
            raise StopAsyncIteration
        delta, self._pending = self._pending, TokenDelta("", 0)
        if self._end is None:
            self._something.clear()
            return delta
        if isinstance(self._end, EngineError):
            if delta.token_count or delta.prompt_tokens:
                return delta
            raise self._end
        self._is_read_out = True
        return replace(self._end, tail=delta + self._end.tail)
