"""The interface between the life of a request and traces: W3C context in and out, and the events of a trace.

If tracing is off, a trace is `NO_TRACE`: nothing is recorded, and the caller's `traceparent` goes to the expert as it
came. If it is on, `serve.telemetry.otel` makes real ones. W3C Trace Context: https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from router.decision import RouteDecision
from serve.request import ChatRequest

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def read_traceparent(header: Callable[[str], str | None]) -> str | None:
    """The caller's trace context if it is valid; otherwise nothing, as if none had been sent (section 3.2.1)."""
    value = header("traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


class Trace(Protocol):
    """One request's trace; `TraceObserver` calls each method at its place on the path, `end` last and always."""

    @property
    def exemplar(self) -> dict[str, str] | None:
        """The link from a metric to this trace, if it is recorded."""
        ...

    @property
    def traceparent(self) -> str | None:
        """The context for the expert."""
        ...

    def admitted(self, waited_s: float) -> None:
        """A permit came."""
        ...

    def routed(self, decision: RouteDecision) -> None:
        """The router has decided; dispatch begins."""
        ...

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        ...

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """`expert` says that no tool fits; `decision` is carried out next."""
        ...

    def first_token(self) -> None:
        """The stream begins."""
        ...

    def end(
        self, outcome: str, prompt_tokens: int, completion_tokens: int, finish: str | None, cost_usd: float
    ) -> None:
        """The request is over."""
        ...


class Tracer(Protocol):
    """Makes traces."""

    def begin(self, request: ChatRequest) -> Trace:
        """Start one."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class PassedOn:
    """A trace that is not recorded: the caller's context goes on to the expert."""

    exemplar: dict[str, str] | None = None

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def admitted(self, waited_s: float) -> None:
        """Nothing."""

    def routed(self, decision: RouteDecision) -> None:
        """Nothing."""

    def fell_back(self, expert: str, to: str) -> None:
        """Nothing."""

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """Nothing."""

    def first_token(self) -> None:
        """Nothing."""

    def end(
        self, outcome: str, prompt_tokens: int, completion_tokens: int, finish: str | None, cost_usd: float
    ) -> None:
        """Nothing."""


NO_TRACE: Final = PassedOn(None)


class NoTracer:
    """Records nothing."""

    def begin(self, request: ChatRequest) -> Trace:
        """Pass the caller's context on."""
        return NO_TRACE if request.traceparent is None else PassedOn(request.traceparent)

    def close(self) -> None:
        """Nothing."""


NO_TRACER: Final = NoTracer()
