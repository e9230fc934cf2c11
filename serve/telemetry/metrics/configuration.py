"""Metrics of what is configured: which version of each file is in use, and what became of changes."""

from serve.telemetry.metrics.registrar import Across, Registrar


class ConfigurationMetrics:
    """`serve.live.watch` writes them. `configuration` is `keys`, `catalog`, `guard`, `toolsets` or `trials`."""

    def __init__(self, add: Registrar) -> None:
        self._reloads = add.counter(
            "configuration_reloads", "Changed files that were taken up or refused", "configuration", "outcome"
        )
        self._info = add.gauge(
            "configuration_info",
            "Constant 1, labelled by the hash of what is in use",
            "configuration",
            "version",
            across=Across.MAX,
        )
        self._versions: dict[str, str] = {}

    def version(self, name: str) -> str:
        """Return the version that is in use."""
        return self._versions[name]

    def show(self, name: str, version: str) -> None:
        """Say what is in use from now on."""
        if name in self._versions:
            self._info.remove(name, self._versions[name])
        self._versions[name] = version
        self._info.labels(name, version).set(1)
        for outcome in ("taken", "refused"):
            self._reloads.labels(name, outcome)

    def taken(self, name: str, version: str) -> None:
        """Count a change that was taken up."""
        self._reloads.labels(name, "taken").inc()
        self.show(name, version)

    def refused(self, name: str) -> None:
        """Count a change that was not."""
        self._reloads.labels(name, "refused").inc()
