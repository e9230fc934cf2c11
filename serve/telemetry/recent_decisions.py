"""Remembers the latest decisions by response id, so that feedback can be compared with them. The oldest are dropped."""

from collections import OrderedDict
from typing import Final

from router.decision import RouteDecision
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord

KEPT: Final = 20_000  # responses; a few hundred bytes each


class Recent(Observer):
    """One process's latest decisions."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._decisions: OrderedDict[str, RouteDecision] = OrderedDict()

    def answered(self, record: RequestRecord) -> None:
        """Keep the decision as carried out."""
        if record.decision is not None:
            self.remember(record.request.id, record.decision)

    def remember(self, response_id: str, decision: RouteDecision) -> None:
        """Keep a decision; the oldest is forgotten when there are too many."""
        self._decisions[response_id] = decision
        if len(self._decisions) > self._kept:
            self._decisions.popitem(last=False)

    def get(self, response_id: str) -> RouteDecision | None:
        """The decision behind a response; None if it is too old, or another process's."""
        return self._decisions.get(response_id)
