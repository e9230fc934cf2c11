"""Who is told what happens to each request: metrics, ledger, keys, traffic, trace, log (`serve.parts` has the list)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from protos import expert_pb2 as pb
from serve.telemetry.loss import Loss
from serve.telemetry.record import RequestRecord

EVENTS: Final = (
    "begun",
    "admitted",
    "assigned",
    "routed",
    "dispatched",
    "fell_back",
    "handed_back",
    "lost",
    "answered",
    "message",
    "first_token",
    "tokens",
    "completed",
    "ended",
)


class Observer:
    """Is told what happens to each request, in the order of the methods below.

    A subclass overrides what it wants to know; what it leaves alone costs nothing. The record holds everything that
    is known by then. An observer never changes it and never raises.
    """

    def begun(self, record: RequestRecord) -> None:
        """The request has been received."""

    def admitted(self, record: RequestRecord) -> None:
        """A permit has come, after `record.waited_s`."""

    def assigned(self, record: RequestRecord, previous: str) -> None:
        """`record.expert` has the request now; `previous` had it before."""

    def routed(self, record: RequestRecord) -> None:
        """The router has decided."""

    def dispatched(self, record: RequestRecord) -> None:
        """The gateway's own work before dispatch is done; `record.overhead_s` is known."""

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """`expert` says that no tool fits; `record.decision` is the one by the words alone, and is carried out next."""

    def lost(self, record: RequestRecord, loss: Loss) -> None:
        """An attempt that did not become the answer has ended."""

    def answered(self, record: RequestRecord) -> None:
        """An expert has given a first token; `record.decision` is the decision as carried out."""

    def message(self, record: RequestRecord, chunk: pb.GenerateChunk) -> None:
        """A message has come from the expert, or from where its answer was kept; tokens are counted after it."""

    def first_token(self, record: RequestRecord) -> None:
        """The first token has come, after `record.ttft_s`."""

    def tokens(self, record: RequestRecord, count: int, gap_s: float) -> None:
        """`count` further tokens have come, `gap_s` after the ones before them."""

    def completed(self, record: RequestRecord, completion: pb.Completion) -> None:
        """The expert's own account of a whole answer has come."""

    def ended(self, record: RequestRecord) -> None:
        """The request is over, with `record.outcome`."""


def listeners_of(observers: Sequence[Observer], event: str) -> tuple[Callable[..., Any], ...]:
    """The observers' methods for an event, without those that an observer does not override."""
    return tuple(
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not getattr(Observer, event)
    )
