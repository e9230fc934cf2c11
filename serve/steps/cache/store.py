"""What keeps answers: the protocol that the step asks, and its error."""

from typing import Protocol


class CacheUnavailable(Exception):
    """The store cannot be used now; an expert is asked instead."""


class CacheStore(Protocol):
    """Keeps answers for a time. Every method may raise `CacheUnavailable`."""

    async def get(self, key: bytes) -> bytes | None:
        """Look an answer up; None where there is none, or where it is too old."""

    async def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer."""

    async def close(self) -> None:
        """Let go of the store."""
