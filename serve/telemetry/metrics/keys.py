"""Metrics by API key. A key's name is out of the settings; beyond `MOST_KEYS` of them the rest share one label."""

from typing import Final

from serve.telemetry.metrics.registrar import Children, Registrar

MOST_KEYS: Final = 100
OTHERS: Final = "others"


class KeyMetrics:
    """`serve.telemetry.observers.keys` writes them, `GET /v1/usage` reads them. Nothing is shown without keys."""

    def __init__(self, add: Registrar) -> None:
        self.requests = Children(add.counter("key_requests", "Requests ended, however they ended", "key"))
        self.tokens = Children(add.counter("key_tokens", "Tokens of answers and of lost attempts", "key", "kind"))
        self.cost = Children(add.counter("key_cost_usd", "USD spent, lost attempts included", "key"))
        self._labels: dict[str, str] = {}

    def label(self, name: str) -> str:
        """Return the label of a key: its name, while there are few enough."""
        label = self._labels.get(name)
        if label is None:
            label = self._labels[name] = name if len(self._labels) < MOST_KEYS else OTHERS
        return label
