"""The process of one gateway worker: `serve.workers.supervisor` starts it as `python -m serve.commands.worker FOLDER`.

Its settings come as one line on standard input, which then stays open as long as the supervisor lives. The worker
prints `ready` when both doors are open. It drains and ends on SIGTERM, or when its input closes.
"""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from experts.catalog.spec import CatalogError
from router.errors import RouterError
from serve.app import App
from serve.settings.tree import Settings, SettingsError
from serve.telemetry.logs import set_up_logging
from serve.workers.gc_tuning import freeze_gc
from serve.workers.supervisor import read_settings


def main(folder: Path) -> int:
    """Serve until told to stop; returns the exit status."""
    settings = read_settings(sys.stdin.buffer.readline())
    set_up_logging(settings.log.level)
    try:
        uvloop.run(_serve(settings, folder))
    except (CatalogError, RouterError, SettingsError, OSError) as error:
        print(f"moegate: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings, folder: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await loop.connect_read_pipe(lambda: _Lifeline(stop), sys.stdin.buffer)
    app = App(settings, siblings_folder=folder)
    try:
        await app.start()
        freeze_gc()
        print("ready", flush=True)
        await stop.wait()
    finally:
        await app.stop()


class _Lifeline(asyncio.Protocol):
    """The supervisor's end of our standard input."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop.set()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
