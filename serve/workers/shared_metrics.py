"""How gateway workers make one `/metrics` page: each gives its counts to the worker that is scraped.

A worker answers on a Unix socket `PID.sock` in the workers' folder with a snapshot of its registry, and keeps what it
has shown in `PID.json`. When a worker dies, its last snapshot stays, without gauges: a counter that has been seen never
falls. `serve.workers.supervisor` owns the folder and keeps a file of its own there.
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics.page import Page, merge, snapshot
from serve.telemetry.metrics.registrar import Across

_ANSWER_S: Final = 1.0  # a sibling that is silent for longer counts as dead


class SharedMetrics:
    """One worker's view of all of them."""

    def __init__(self, folder: Path, registry: CollectorRegistry, across: Mapping[str, Across]) -> None:
        self._folder = folder
        self._registry = registry
        self._across = across
        self._own = folder / f"{os.getpid()}.json"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._server = await asyncio.start_unix_server(self._answer, self._own.with_suffix(".sock"))

    async def stop(self) -> None:
        """Show the last counts and fall silent."""
        if self._server is not None:
            self._server.close()
            self._own.with_suffix(".sock").unlink(missing_ok=True)
        self._show()

    async def page(self) -> Page:
        """What all workers count together."""
        sockets = [path for path in self._folder.glob("*.sock") if path.stem != self._own.stem]
        live = await asyncio.gather(*(self._ask(path) for path in sockets))
        told = {path.stem for path, answer in zip(sockets, live, strict=True) if answer} | {self._own.stem}
        past = [past_counts(path) for path in self._folder.glob("*.json") if path.stem not in told]
        return merge([self._show(), *filter(None, live), *past], self._across)

    def _show(self) -> bytes:
        shown = snapshot(self._registry)
        keep(self._own, shown)
        return shown

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write(self._show())
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def _ask(self, path: Path) -> bytes:
        """A sibling's snapshot; nothing if it is gone."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(path)
                with contextlib.closing(writer):
                    return await reader.read()
        except (OSError, TimeoutError):
            return b""


def keep(path: Path, shown: bytes) -> None:
    """Write a snapshot so that a reader sees the old one or the new one."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(shown)
    draft.replace(path)


def past_counts(path: Path) -> bytes:
    """What a dead worker's snapshot still says: its counters and histograms."""
    families = orjson.loads(path.read_bytes())
    return orjson.dumps([family for family in families if family[2] != "gauge"])
