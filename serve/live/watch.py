"""Takes up changed files while serving; the last good state stays where a file cannot be used.

`serve.app` makes a `Source` for each kind of configuration, and one `Watch` that looks at their files twice a second.
What a file says is read and checked in a thread and put to use on the event loop at once, as one new state beside the
old: a request keeps the state that it began with. Every worker of a gateway watches for itself.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.catalog.prices import PricesError
from experts.catalog.spec import CatalogError
from serve.settings.tree import SettingsError
from serve.telemetry.metrics.configuration import ConfigurationMetrics

log = logging.getLogger("moegate.live")

INTERVAL_S: Final = 0.5
_VERSION_CHARS: Final = 12


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of configuration.

    Attributes:
        name: of a closed set: a label of metrics.
        paths: the files that it is read from.
        read: reads and checks them, in a thread; raises `SettingsError`, `CatalogError` or `PricesError`.
        take_up: puts what was read to use, on the loop; returns the names of what needs a restart.
        begins: it is read when the watch begins, too: what the gateway began with knows nothing of it.
    """

    name: str
    paths: tuple[Path, ...]
    read: Callable[[], Any]
    take_up: Callable[[Any], Sequence[str]]
    begins: bool = False


class Watch:
    """Looks at the files of every source, until stopped."""

    def __init__(
        self, sources: Sequence[Source], metrics: ConfigurationMetrics, *, interval_s: float = INTERVAL_S
    ) -> None:
        """Note what the files are now: that is what the gateway has begun with."""
        self._sources = tuple(source for source in sources if source.paths)
        self._metrics = metrics
        self._interval_s = interval_s
        self._seen = {source.name: _signature(source.paths) for source in self._sources}
        for source in self._sources:
            metrics.show(source.name, _version(source.paths))

    async def run(self) -> None:
        """Look again and again."""
        for source in self._sources:
            if source.begins:
                await self._renew(source)
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """Look at every file once, and take up what has changed."""
        for source in self._sources:
            signature = _signature(source.paths)
            if signature != self._seen[source.name]:
                self._seen[source.name] = signature
                await self._renew(source)

    async def _renew(self, source: Source) -> None:
        version = await asyncio.to_thread(_version, source.paths)
        try:
            found = await asyncio.to_thread(source.read)
            waiting = source.take_up(found)
        except (SettingsError, CatalogError, PricesError) as error:
            self._metrics.refused(source.name)
            extra = {"configuration": source.name, "error": str(error), "kept": self._metrics.version(source.name)}
            log.warning("configuration refused; the last good one stays", extra=extra)
            return
        self._metrics.taken(source.name, version)
        log.info("configuration taken up", extra={"configuration": source.name, "version": version})
        if waiting:
            named = {"configuration": source.name, "needs_restart": list(waiting)}
            log.warning("some changes wait for a restart", extra=named)


def _signature(paths: Sequence[Path]) -> tuple[tuple[int, ...] | None, ...]:
    """Return what changes when a file is written or replaced (Kubernetes swaps a link to a folder)."""
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _version(paths: Sequence[Path]) -> str:
    """Return a hash of what the files hold."""
    content = hashlib.sha256()
    for path in paths:
        try:
            content.update(path.read_bytes())
        except OSError:
            content.update(b"\0")
    return content.hexdigest()[:_VERSION_CHARS]
