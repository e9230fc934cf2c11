"""Makes the record of each request, and tells it who listens: metrics, ledger, traffic, trace, log.

`with recorder.follow(request) as record:` surrounds the whole of a request. To watch something new, write an `Observer`
and add it to the list in `serve.parts` (docs/adding-a-metric.md).
"""

import time
from collections.abc import Callable, Sequence

from serve.request import ChatRequest
from serve.telemetry.observer import EVENTS, Observer, listeners_of
from serve.telemetry.record import Pricing, RequestRecord
from serve.telemetry.tracing import NO_TRACER, Tracer


class Recorder:
    """Makes a record for each request.

    Attributes:
        pricing: what work costs from the next request on.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        pricing: Pricing,
        *,
        tracer: Tracer = NO_TRACER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the observers, in the order in which they are told; `clock` is the gateway's, monotonic, seconds."""
        self.pricing = pricing
        self._tracer = tracer
        self._clock = clock
        self._listeners = {event: listeners_of(observers, event) for event in EVENTS}

    def follow(self, request: ChatRequest) -> RequestRecord:
        """Start following a request; use as a context manager."""
        trace = self._tracer.begin(request)
        return RequestRecord(request, self._listeners, self.pricing, trace=trace, clock=self._clock)
