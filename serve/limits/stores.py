"""Where accounts are kept: the protocol, and the accounts of one process.

Workers of one gateway share theirs through `serve.limits.file_store`, gateways on several machines through
`serve.limits.redis_store`; all do the arithmetic of `serve.limits.bucket`.
"""

from typing import Protocol

from serve.limits.bucket import Account, Amount, LimitStatus, settle, take
from serve.request import Limit


class LimitStore(Protocol):
    """Keeps accounts by the keys' names. Each call is atomic."""

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        """Reserve `wanted` in an account, if it fits (`serve.limits.bucket.take`)."""
        ...

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        """Replace a reservation by what was really used (`serve.limits.bucket.settle`)."""
        ...

    async def close(self) -> None:
        """Release its resources."""
        ...


class LocalStore:
    """Accounts of this process alone."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        """Reserve in this process's account."""
        return take(self._accounts.setdefault(name, Account()), limit, wanted, now)

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        """Charge what was really used to this process's account."""
        return settle(self._accounts.setdefault(name, Account()), taken, used, now)

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
