"""Where accounts are kept: in this process, or in a file that the workers of one gateway share.

Both do the arithmetic of `serve.limits`. Gateways on several machines share theirs through `serve.redis_limits`.
"""

import fcntl
import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from serve.limits import Account, Limit, Standing, settle, take

_RECORD: Final = struct.Struct("5d")  # an `Account`


class LimitStore(Protocol):
    """Keeps accounts by the keys' names. Each call is atomic, whoever else makes one."""

    async def take(self, name: str, limit: Limit, tokens: float, now: float) -> Standing:
        """See `limits.take`."""
        ...

    async def settle(self, name: str, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
        """See `limits.settle`."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class LocalStore:
    """Accounts of this process alone."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    async def take(self, name: str, limit: Limit, tokens: float, now: float) -> Standing:
        """See `LimitStore.take`."""
        return take(self._accounts.setdefault(name, Account()), limit, tokens, now)

    async def settle(self, name: str, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
        """See `LimitStore.settle`."""
        account = self._accounts.setdefault(name, Account())
        settle(account, limit, reserved=reserved, used=used, usd=usd, now=now)

    async def close(self) -> None:
        """See `LimitStore.close`."""


class SharedStore:
    """Accounts in a file that is mapped into every worker; its lock is held for microseconds.

    Every worker must be given the same names in the same order. Who dies holding the lock loses it.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._places = {name: i * _RECORD.size for i, name in enumerate(names)}
        self._file = path.open("a+b")
        self._file.truncate(max(1, len(names)) * _RECORD.size)
        self._map = mmap.mmap(self._file.fileno(), 0)

    async def take(self, name: str, limit: Limit, tokens: float, now: float) -> Standing:
        """See `LimitStore.take`."""
        with self._account(name) as account:
            return take(account, limit, tokens, now)

    async def settle(self, name: str, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
        """See `LimitStore.settle`."""
        with self._account(name) as account:
            settle(account, limit, reserved=reserved, used=used, usd=usd, now=now)

    async def close(self) -> None:
        """See `LimitStore.close`."""
        self._map.close()
        self._file.close()

    @contextmanager
    def _account(self, name: str) -> Iterator[Account]:
        """An account, ours alone until the `with` ends."""
        place = self._places[name]
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            account = Account(*_RECORD.unpack_from(self._map, place))
            yield account
            fields = (account.requests, account.tokens, account.at, account.usd, account.period)
            _RECORD.pack_into(self._map, place, *fields)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
