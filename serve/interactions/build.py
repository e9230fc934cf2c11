"""The parts that keep interactions, put together for `serve.app`, which imports them only where some are kept."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from serve.interactions.observer import InteractionObserver, Taker
from serve.interactions.shadow import Shadow
from serve.interactions.stores import open_segments
from serve.interactions.writer import Writer
from serve.settings.interactions import InteractionsSettings
from serve.telemetry.metrics.interactions import InteractionMetrics


@dataclass(frozen=True, slots=True)
class Interactions:
    """Who hears of requests, who writes them, and who mirrors some where candidates may be on trial."""

    observer: InteractionObserver
    writer: Writer
    shadow: Shadow | None = None

    async def close(self) -> None:
        """End the mirror's work, and write what waits."""
        if self.shadow is not None:
            await self.shadow.close()
        await asyncio.to_thread(self.writer.close)


def open_interactions(
    settings: InteractionsSettings,
    metrics: InteractionMetrics,
    catalog: bytes,
    artifact_of: Callable[[str], str],
    mirror: Callable[[Taker], Shadow] | None = None,
) -> Interactions:
    """Put them together; the writer begins when it is started.

    Args:
        settings: whose interactions, and where to.
        metrics: what is counted.
        catalog: the catalogue, serialised; its digest is in every record.
        artifact_of: tells the digest of the weights that an expert serves.
        mirror: makes what asks candidates unseen, in front of the writer; None where there are no candidates.

    Raises:
        SettingsError: the place takes a package that is not installed.
    """
    writer = Writer(open_segments(settings), settings, metrics, sha256(catalog).hexdigest())
    shadow = None if mirror is None else mirror(writer)
    return Interactions(InteractionObserver(settings, shadow or writer, artifact_of), writer, shadow)
