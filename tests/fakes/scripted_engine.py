"""An engine that yields what it was told to, and notes what it was asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from experts.engine import Capabilities, Completion, EngineDead, GenerationInput, Load, TokenDelta


class ScriptedEngine:
    """Yields its script; an exception in it is raised."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.scripts: list[tuple[Any, ...]] = []  # one a request, instead of `script`
        self.requests: list[GenerationInput] = []
        self.starts = self.closed = 0
        self.capabilities = Capabilities(4, 64, frozenset(), "hash")

    async def start(self) -> None:
        self.starts += 1

    async def stop(self) -> None: ...

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        self.requests.append(request)
        try:
            for item in self.scripts[len(self.requests) - 1] if self.scripts else self.script:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    def load(self) -> Load:
        return Load(2, 1, 4)

    def sequences_total(self) -> int:
        return 7

    async def check_health(self) -> None:
        if self.script and isinstance(self.script[0], EngineDead):
            raise self.script[0]
