"""Writes a request's entries in the ledger: its answer, its lost attempts, and the decision itself."""

from serve.costs.ledger import Ledger, Waste
from serve.telemetry.loss import Loss
from serve.telemetry.metrics import NO_EXPERT
from serve.telemetry.observer import Observer
from serve.telemetry.record import CANCELLED, OK, RequestRecord


class LedgerObserver(Observer):
    """Enters each request into a ledger, at the record's prices."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routed(self, record: RequestRecord) -> None:
        """Enter the router's compute."""
        if record.decision is not None:
            self._ledger.routed(record.decision.route_s)

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """Enter the router's compute once more."""
        self.routed(record)

    def lost(self, record: RequestRecord, loss: Loss) -> None:
        """Enter an attempt that did not become the answer."""
        self._ledger.spend(loss.expert, loss.work, loss.cause, pico=loss.pico)

    def ended(self, record: RequestRecord) -> None:
        """Enter the answer's work, as waste if it did not end well, and what it would have cost elsewhere."""
        if record.expert == NO_EXPERT:
            return
        if record.is_recalled:
            self._ledger.save(record.expert, record.saved_pico)
            return
        waste = None
        if record.outcome != OK:
            waste = Waste.CANCELLED if record.outcome == CANCELLED else Waste.FAILED
        self._ledger.compare(record.work)
        lost = sum(loss.pico for loss in record.losses)
        self._ledger.spend(record.expert, record.work, waste, pico=record.cost_pico - lost)
