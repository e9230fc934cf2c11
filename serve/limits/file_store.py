"""Accounts in a file: shared by the workers of one gateway, and kept over a restart if the settings name the file.

The file is mapped into every process that uses it, and locked for the microseconds of one account's arithmetic. It has
a header and one record a name, in the order in which the names first came. Records are never removed, so a key that is
taken out of the settings and put back finds its account again.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from serve.limits.bucket import Account, Amount, LimitStatus, settle, take
from serve.request import Limit

_MAGIC: Final = b"moegate accounts 1\n".ljust(32)
_NAME_BYTES: Final = 64  # the longest name that `KeySettings` takes
_RECORD: Final = struct.Struct(f"{_NAME_BYTES}s8d")  # a name and its `Account`


class AccountFileError(Exception):
    """The file cannot be used; the message names it."""


class SharedStore:
    """Keeps accounts in a file. A process that dies with the lock loses the lock; the accounts stay."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            AccountFileError: it cannot be opened, or holds something else, which is left as it is.
        """
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AccountFileError(f"{path}: {error.strerror}") from None
        self._places: dict[str, int] = {}
        with self._lock():
            is_ours = self._begin()
        if not is_ours:
            os.close(self._file)
            raise AccountFileError(f"{path}: is not a file of accounts; it is left as it is")

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        """Reserve, under the file's lock."""
        with self._account(name) as account:
            return take(account, limit, wanted, now)

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        """Charge what was really used, under the file's lock."""
        with self._account(name) as account:
            return settle(account, taken, used, now)

    async def close(self) -> None:
        """Write the accounts to disk and close the file."""
        self._map.flush()
        self._map.close()
        os.close(self._file)

    def _begin(self) -> bool:
        """Map the file, a new one with its header; returns whether it is one of ours."""
        if os.fstat(self._file).st_size == 0:
            os.write(self._file, _MAGIC)
        is_ours = os.pread(self._file, len(_MAGIC), 0) == _MAGIC
        if is_ours:
            self._map = mmap.mmap(self._file, 0)
            self._read_names()
        return is_ours

    @contextmanager
    def _lock(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def _account(self, name: str) -> Iterator[Account]:
        """An account, locked until the `with` ends."""
        with self._lock():
            place = self._places.get(name)
            if place is None:
                place = self._find_or_add(name)
            account = Account(*_RECORD.unpack_from(self._map, place)[1:])
            yield account
            self._write(place, name, account)

    def _find_or_add(self, name: str) -> int:
        """Find the record of a new name, which another process may have added."""
        self._read_names()
        if name not in self._places:
            place = len(_MAGIC) + (len(self._map) - len(_MAGIC)) // _RECORD.size * _RECORD.size
            os.ftruncate(self._file, place + _RECORD.size)
            self._map.resize(place + _RECORD.size)
            self._write(place, name, Account())
            self._places[name] = place
        return self._places[name]

    def _read_names(self) -> None:
        size = os.fstat(self._file).st_size
        if size > len(self._map):
            self._map.resize(size)
        for place in range(len(_MAGIC), size - _RECORD.size + 1, _RECORD.size):
            name = bytes(self._map[place : place + _NAME_BYTES]).rstrip(b"\0").decode("utf-8", "replace")
            self._places[name] = place

    def _write(self, place: int, name: str, account: Account) -> None:
        fields = (account.requests, account.tokens, account.at, account.spent, account.period)
        held = (account.held, account.held_before, account.held_since)
        _RECORD.pack_into(self._map, place, name.encode(), *fields, *held)
