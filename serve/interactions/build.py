"""The parts that keep interactions, put together for `serve.app`, which imports them only where some are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from serve.interactions.observer import InteractionObserver
from serve.interactions.stores import open_segments
from serve.interactions.writer import Writer
from serve.settings.interactions import InteractionsSettings
from serve.telemetry.metrics.interactions import InteractionMetrics


@dataclass(frozen=True, slots=True)
class Interactions:
    """Who hears of requests, and who writes them."""

    observer: InteractionObserver
    writer: Writer


def open_interactions(
    settings: InteractionsSettings,
    metrics: InteractionMetrics,
    catalog: bytes,
    artifact_of: Callable[[str], str],
) -> Interactions:
    """Put them together; the writer begins when it is started.

    Args:
        settings: whose interactions, and where to.
        metrics: what is counted.
        catalog: the catalogue, serialised; its digest is in every record.
        artifact_of: tells the digest of the weights that an expert serves.

    Raises:
        SettingsError: the place takes a package that is not installed.
    """
    writer = Writer(open_segments(settings), settings, metrics, sha256(catalog).hexdigest())
    return Interactions(InteractionObserver(settings, writer, artifact_of), writer)
