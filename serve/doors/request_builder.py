"""Makes a `ChatRequest` from what a door received. A header (HTTP) and a metadata key (gRPC) of one name mean the same.

A door looks up its headers and parses its own wire into `Parts`. Everything else about a request is decided here, once:
its names, deadline, priority and routing preferences. `serve.gateway` checks later what a request must hold, so that a
refusal is counted and logged like any other end of a request.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from protos import chat_pb2 as chat
from serve.access.response_ids import new_id
from serve.errors import InvalidRequest
from serve.request import Caller, ChatRequest, Door, NamedToolset, Retrieval, read_keeping, read_priority
from serve.routing.preferences import read_preferences
from serve.telemetry.tracing import read_traceparent

Headers = Callable[[str], str | None]
"""Looks a header up by its lower-case name; the first, where there are several."""

REQUEST_ID_HEADER: Final = "x-request-id"
TIMEOUT_HEADER: Final = "x-request-timeout-ms"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")  # what may go into a log and a header


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a request that a door has parsed from its wire.

    Attributes:
        model: see `ChatRequest`; so are `input`, `sampling` and `is_stream`.
        quality_cost: the field; None where the request has none, and the header counts.
        ttft_target_ms: likewise, milliseconds.
        previous_expert: likewise.
        remaining_s: seconds that the transport itself gives the request; gRPC's deadline.
        store: whether the request and its answer may be kept; None where the body does not say.
        user: the caller's own name for whom it asks.
        retrieval: which collections the request wants to be answered from.
        toolsets: sets of tools whose tools it offers as well.
    """

    model: str
    input: chat.Conversation | str
    sampling: chat.Sampling
    is_stream: bool
    quality_cost: float | None = None
    ttft_target_ms: float | None = None
    previous_expert: str | None = None
    remaining_s: float | None = None
    store: bool | None = None
    user: str | None = None
    retrieval: Retrieval | None = None
    toolsets: tuple[NamedToolset, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that any request may have.

    Attributes:
        timeout_s: seconds until its answer is complete.
        max_tokens: tokens of an answer; the largest context window.
    """

    timeout_s: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose headers have arrived. Its ids are known before anything can fail.

    Attributes:
        id: our name for it, unique.
        request_id: the caller's name for it (`x-request-id`) where that may go into a log, else `id`.
        door: where it came in.
        received_at: gateway's monotonic clock, seconds.
        headers: its headers.
        limits: the most that any request may have.
    """

    id: str
    request_id: str
    door: Door
    received_at: float
    headers: Headers
    limits: Limits

    def request(self, parts: Parts, caller: Caller) -> ChatRequest:
        """Build the request.

        Raises:
            InvalidRequest: a header or a field is no number or out of its range; `param` names it.
        """
        return ChatRequest(
            id=self.id,
            request_id=self.request_id,
            door=self.door,
            model=parts.model,
            input=parts.input,
            sampling=_within(parts.sampling, self.limits.max_tokens),
            is_stream=parts.is_stream,
            received_at=self.received_at,
            deadline=self.deadline(parts.remaining_s),
            preferences=read_preferences(
                self.headers,
                quality_cost=parts.quality_cost,
                ttft_target_ms=parts.ttft_target_ms,
                previous_expert=parts.previous_expert,
            ),
            priority=read_priority(self.headers),
            caller=caller,
            traceparent=read_traceparent(self.headers),
            keeping=read_keeping(self.headers, store=parts.store, user=parts.user),
            retrieval=parts.retrieval,
            toolsets=parts.toolsets,
        )

    def further(self, number: int, parts: Parts, caller: Caller) -> ChatRequest:
        """Build the request for a further answer, under an id of its own; raises as `request` does."""
        return replace(self, id=f"{self.id}-{number}").request(parts, caller)

    def deadline(self, remaining_s: float | None = None) -> float:
        """When the request must have ended, on the gateway's clock; `remaining_s` is what the transport gives it.

        Raises:
            InvalidRequest: the header for it is no positive number.
        """
        return self.received_at + self._timeout_s(remaining_s)

    def _timeout_s(self, remaining_s: float | None) -> float:
        """Seconds that the request may take: the minimum of the header's, the transport's and the gateway's limits."""
        limit_s = self.limits.timeout_s if remaining_s is None else min(remaining_s, self.limits.timeout_s)
        text = self.headers(TIMEOUT_HEADER)
        if text is None:
            return limit_s
        try:
            asked_ms = float(text)
        except ValueError:
            asked_ms = math.nan
        if not asked_ms > 0:
            raise InvalidRequest(f"'{TIMEOUT_HEADER}' must be a positive number", param=TIMEOUT_HEADER)
        return min(asked_ms / 1000, limit_s)


class RequestBuilder:
    """What all requests of one door share."""

    def __init__(self, door: Door, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._door: Door = door
        self._limits = limits
        self._clock = clock

    def arrive(self, headers: Headers, *, id_prefix: str, owner: str = "") -> Arrival:
        """Begin a request, received now; `owner` is the name of its key."""
        own_id = new_id(id_prefix, owner)
        theirs = headers(REQUEST_ID_HEADER)
        request_id = theirs if theirs is not None and _REQUEST_ID.fullmatch(theirs) else own_id
        return Arrival(own_id, request_id, self._door, self._clock(), headers, self._limits)


def _within(sampling: chat.Sampling, max_tokens: int) -> chat.Sampling:
    """Adjust sampling values to the ranges that engines know, if their meaning is clear.

    `top_p: 0` leaves the likeliest token alone: greedy decoding, which engines know as `temperature: 0`. More tokens
    than the largest window holds are as many as there is room for.
    """
    is_greedy = sampling.HasField("top_p") and sampling.top_p == 0
    if not is_greedy and sampling.max_tokens <= max_tokens:
        return sampling
    within = chat.Sampling()
    within.CopyFrom(sampling)
    if is_greedy:
        within.ClearField("top_p")
        within.temperature = 0
    if sampling.max_tokens > max_tokens:
        within.max_tokens = max_tokens
    return within
