"""One request from its receipt to its end; `serve.telemetry.recorder` makes it.

The gateway tells the record what happens; the record keeps the state and tells each observer that listens. Whatever
ends the request (answer, error, disconnect) ends the `with`, so nothing is counted twice and nothing is lost.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work, usd
from serve.errors import InternalError, MoegateError
from serve.limits.bucket import Amount
from serve.request import ChatRequest
from serve.telemetry.loss import Loss
from serve.telemetry.metrics import NO_EXPERT
from serve.telemetry.tracing import Trace

Listeners = Mapping[str, tuple[Callable[..., Any], ...]]
"""The observers' methods, by the event of which each is told."""

OK: Final = "ok"
CANCELLED: Final = "cancelled"


class Pricing(Protocol):
    """What work costs; `serve.costs.ledger.Ledger` knows."""

    def price(self, expert: str, work: Work) -> int:
        """Picodollars."""
        ...


class RequestRecord(AbstractContextManager["RequestRecord"]):
    """What is known of one request.

    Attributes:
        request: the request as it came in.
        prepared: the same as the steps have prepared it for the experts.
        mode: `stream` or `unary`.
        expert: who has it, or `NO_EXPERT`.
        previous_expert: who answered the conversation's last turn, if anyone.
        decision: the latest decision; None before the first.
        waited_s: seconds it waited for a permit.
        overhead_s: seconds the gateway spent before dispatch, the wait for a permit left out.
        ttft_s: seconds from receipt to the first token; 0 before it.
        decode_s: seconds from the first token to the latest.
        duration_s: seconds from receipt to the end; 0 before it.
        prompt_tokens: as far as the expert has told; likewise `completion_tokens`.
        completion: the expert's own account; None where the answer is not whole.
        losses: attempts that came to nothing.
        is_recalled: the answer was kept from an earlier request: nobody was asked, and nothing is spent.
        saved_pico: picodollars that a recalled answer cost when it was made.
        work: what the answer took; known at the end.
        outcome: `OK`, `CANCELLED` or an error's code; empty before the end.
        cost_pico: picodollars, losses included; known at the end.
        trace: the request's trace, and the context that goes on to the expert.
        notes: what steps have told, by step; for the log line and the headers.
        of_step: what a step keeps of the request between its calls.
    """

    def __init__(
        self, request: ChatRequest, listeners: Listeners, pricing: Pricing, *, trace: Trace, clock: Callable[[], float]
    ) -> None:
        self.request = self.prepared = request
        self.mode = "stream" if request.is_stream else "unary"
        self.expert = NO_EXPERT
        self.previous_expert: str | None = None
        self.decision: RouteDecision | None = None
        self.waited_s = self.overhead_s = self.ttft_s = self.decode_s = self.duration_s = 0.0
        self.prompt_tokens = self.completion_tokens = 0
        self.completion: pb.Completion | None = None
        self.losses: list[Loss] = []
        self.is_recalled = False
        self.saved_pico = 0
        self.work = Work()
        self.outcome = ""
        self.cost_pico = 0
        self.trace = trace
        self.notes: dict[str, str] = {}
        self.of_step: dict[object, Any] = {}
        self._listeners = listeners
        self._pricing = pricing
        self._clock = clock
        self._begun_at = self._first_at = self._last_at = 0.0

    def __enter__(self) -> Self:
        self._tell("begun")
        return self

    @property
    def cost_usd(self) -> float:
        """What the request has cost; known at the end."""
        return usd(self.cost_pico)

    def admitted(self, waited_s: float) -> None:
        """A permit came after `waited_s` seconds."""
        self.waited_s = waited_s
        self._tell("admitted")

    def routed(self, decision: RouteDecision, previous_expert: str | None = None) -> None:
        """The router has decided; dispatch comes next."""
        self.previous_expert = previous_expert
        self._decided(decision)
        self._tell("routed")
        self._begun_at = self._clock()
        self.overhead_s = self._begun_at - self.request.received_at - self.waited_s
        self._tell("dispatched")

    def recalled(self, decision: RouteDecision, completion: pb.Completion) -> None:
        """The answer was kept: who gave it once, and how."""
        self._decided(decision)
        self.is_recalled = True
        usage, timings = completion.usage, completion.timings
        work = Work(usage.prompt_tokens, usage.completion_tokens, timings.prefill_s + timings.decode_s)
        self.saved_pico = self._pricing.price(self.expert, work)

    def note(self, step: str, facts: str) -> None:
        """A step tells what it did, in names and numbers; nothing where there is nothing to tell."""
        if facts:
            self.notes[step] = facts

    def traced(self, request: ChatRequest) -> ChatRequest:
        """Return the request with the trace context for the expert, if there is a trace."""
        context = self.trace.traceparent
        return request if context == request.traceparent else replace(request, traceparent=context)

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        for listener in self._listeners["fell_back"]:
            listener(self, expert, to)

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """`expert` has said before its first token that no tool fits; `decision` is carried out next."""
        self._decided(decision)
        for listener in self._listeners["handed_back"]:
            listener(self, expert)

    def lost(self, expert: str, cause: Waste, work: Work) -> None:
        """Note an attempt that did not become the answer; its work is paid for all the same."""
        loss = Loss(expert, cause, work, self._pricing.price(expert, work))
        self.losses.append(loss)
        for listener in self._listeners["lost"]:
            listener(self, loss)

    def answered(self, decision: RouteDecision, begun_at: float) -> None:
        """An expert gave a first token: the decision as carried out, and when the expert began on the prompt."""
        self._decided(decision)
        self._begun_at = begun_at or self._begun_at
        self._tell("answered")

    def tokens(self, chunk: pb.GenerateChunk) -> None:
        """A message has come: so many tokens; the first one also says how long the prompt is."""
        for listener in self._listeners["message"]:
            listener(self, chunk)
        count = chunk.token_count
        self.prompt_tokens = self.prompt_tokens or chunk.prompt_tokens
        if not count:
            return
        now = self._clock()
        if not self.completion_tokens:
            self._first_at = now
            self.ttft_s = now - self.request.received_at
        if self.is_recalled:
            pass  # no expert's times
        elif not self.completion_tokens:
            self._tell("first_token")
        else:
            gap_s = now - self._last_at
            for listener in self._listeners["tokens"]:
                listener(self, count, gap_s)
        self._last_at = now
        self.completion_tokens += count

    def completed(self, completion: pb.Completion) -> float:
        """The expert's own account is final. Returns USD: what the answer costs."""
        self.completion = completion
        usage = completion.usage
        self.prompt_tokens, self.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        for listener in self._listeners["completed"]:
            listener(self, completion)
        return usd(self._pricing.price(self.expert, self._work_so_far()))

    def spent(self) -> Amount:
        """What has been used so far, with lost attempts: what the ledger gets at the end."""
        pico = self._pricing.price(self.expert, self._work_so_far()) if self.expert != NO_EXPERT else 0
        lost_tokens = sum(loss.work.prompt_tokens + loss.work.completion_tokens for loss in self.losses)
        tokens = 0 if self.is_recalled else self.prompt_tokens + self.completion_tokens
        return Amount(tokens + lost_tokens, pico + self._lost_pico())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outcome = _outcome(error)
        self.duration_s = self._clock() - self.request.received_at
        self.decode_s = self._last_at - self._first_at
        self.cost_pico = self._lost_pico()
        if self.expert != NO_EXPERT:
            self.work = self._work_so_far()
            self.cost_pico += self._pricing.price(self.expert, self.work)
        self._tell("ended")

    def _tell(self, event: str) -> None:
        for listener in self._listeners[event]:
            listener(self)

    def _decided(self, decision: RouteDecision) -> None:
        self.decision = decision
        if decision.expert != self.expert:
            previous, self.expert = self.expert, decision.expert
            for listener in self._listeners["assigned"]:
                listener(self, previous)

    def _lost_pico(self) -> int:
        return sum(loss.pico for loss in self.losses)

    def _work_so_far(self) -> Work:
        """The answer's work. An answer that was cut off has no timings: it held the slot since its beginning."""
        if self.is_recalled:
            return Work()
        if self.completion is not None:
            timings = self.completion.timings
            slot_s = timings.prefill_s + timings.decode_s
        else:
            slot_s = self._clock() - self._begun_at if self.prompt_tokens else 0.0
        return Work(self.prompt_tokens, self.completion_tokens, slot_s)


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return OK
        case asyncio.CancelledError() | GeneratorExit():
            return CANCELLED
        case MoegateError():
            return error.code
        case _:
            return InternalError.code
