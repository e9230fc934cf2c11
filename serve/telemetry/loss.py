"""An attempt that was paid for and did not become the answer."""

from dataclasses import dataclass

from serve.costs.ledger import Waste
from serve.costs.tariffs import Work


@dataclass(frozen=True, slots=True)
class Loss:
    """An attempt that did not become the answer: expert, cause, work, and price in picodollars."""

    expert: str
    cause: Waste
    work: Work
    pico: int
