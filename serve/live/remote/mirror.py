"""One file from elsewhere and its copy on this machine: fetched at the start, looked at again and again, checked.

`mirrors` makes them. A copy is replaced in one step by content that has been checked, so who follows the
copy (`serve.routing.reload`, `serve.live.watch`) never sees a bad one, and a gateway that starts while the server is
away starts with the last good one.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from experts.catalog.remote import Address, RemoteError, download, state
from serve.telemetry.metrics.remote import RemoteMetrics

log = logging.getLogger("moegate.remote")

_VERSION_CHARS: Final = 12


class Refused(Exception):
    """What was fetched cannot be used; the message says why."""


class Mirror:
    """Keeps `copy` what lies at an address.

    `check` reads a fetched file and raises `Refused` if it cannot be used.
    """

    def __init__(self, name: str, address: Address, copy: Path, check: Callable[[Path], None]) -> None:
        self.name = name
        self.copy = copy
        self._address = address
        self._check = check
        self._seen = ""
        self._is_current = False  # the copy is what the source has
        self._metrics: RemoteMetrics | None = None
        self._last_trouble = ""

    def begin(self) -> None:
        """Fetch it; where that fails a copy of before stays in use.

        Raises:
            RemoteError: it cannot be had, and there is no copy.
            Refused: it cannot be used, and there is no copy.
        """
        if self._is_pinned_copy():
            return
        try:
            self._fetch()
        except (RemoteError, Refused) as error:
            if not self.copy.is_file() or self._address.sha256 is not None:
                raise
            self._tell(error)

    def show(self, metrics: RemoteMetrics) -> None:
        """Tell these metrics from now on."""
        self._metrics = metrics
        metrics.expect(self.name)
        self._confirm()

    async def run(self, interval_s: float) -> None:
        """Look again and again; what is pinned cannot change."""
        while self._address.sha256 is None:
            await asyncio.sleep(interval_s)
            await self.look()

    async def look(self) -> None:
        """Look once, and take what has changed."""
        try:
            is_new = await asyncio.to_thread(self._fetch)
        except (RemoteError, Refused, OSError) as error:
            self._tell(error)
            return
        self._confirm()
        if self._is_current:
            self._last_trouble = ""
        if is_new:
            log.info("fetched", extra={"remote": self.name, "version": self._version()})
            if self._metrics is not None:
                self._metrics.fetches.labels(self.name, "taken").inc()

    def _confirm(self) -> None:
        """Tell when the copy was last seen to be the source's; of a pinned one nobody needs to know."""
        if self._metrics is not None and self._is_current and self._address.sha256 is None:
            self._metrics.confirmed(self.name, time.time())

    def _fetch(self) -> bool:
        """Bring the copy up to date; say whether it has changed.

        Raises:
            RemoteError: it cannot be had.
            Refused: it is not its pin's, or cannot be used.
        """
        found = state(self._address.url)
        if found == self._seen:
            return False
        self.copy.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.copy.with_name(f".{os.getpid()}.{self.copy.name}")
        try:
            download(self._address.url, unfinished)
            self._seen, self._is_current = found, False  # what is refused is not fetched again until it changes
            self._see_that_it_is_good(unfinished)
            unfinished.replace(self.copy)
            self._is_current = True
        finally:
            unfinished.unlink(missing_ok=True)
        return True

    def _see_that_it_is_good(self, path: Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if self._address.sha256 not in (None, found):
            raise Refused(f"{self._address.url}: its content is sha256:{found}, which is not its pin")
        self._check(path)

    def _is_pinned_copy(self) -> bool:
        return self.copy.is_file() and hashlib.sha256(self.copy.read_bytes()).hexdigest() == self._address.sha256

    def _tell(self, error: Exception) -> None:
        """Count it; log it once for as long as it stays the same."""
        outcome = "refused" if isinstance(error, Refused) else "unreachable"
        if self._metrics is not None:
            self._metrics.fetches.labels(self.name, outcome).inc()
        if str(error) != self._last_trouble:
            self._last_trouble = str(error)
            log.warning("the last good copy stays", extra={"remote": self.name, "error": str(error)})

    def _version(self) -> str:
        return hashlib.sha256(self.copy.read_bytes()).hexdigest()[:_VERSION_CHARS]
