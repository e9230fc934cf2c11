"""Metrics of the files that come from elsewhere."""

from serve.telemetry.metrics.registrar import Across, Registrar


class RemoteMetrics:
    """`serve.live.remote` writes them. `file` is `router`, `catalog` or `registry`; nothing where none is remote."""

    def __init__(self, add: Registrar) -> None:
        self.fetches = add.counter(
            "remote_fetches", "Remote files that were taken, refused, or could not be reached", "file", "outcome"
        )
        self._confirmed = add.gauge(
            "remote_confirmed_seconds",
            "Unix time at which the local copy was last seen to be what its source has",
            "file",
            across=Across.MAX,
        )

    def expect(self, name: str) -> None:
        """Begin every count at 0."""
        for outcome in ("taken", "refused", "unreachable"):
            self.fetches.labels(name, outcome)

    def confirmed(self, name: str, now_s: float) -> None:
        """The copy is what the source has."""
        self._confirmed.labels(name).set(now_s)
