"""Carries a decision out: asks the experts of the ranking until one gives a first token.

Until then a failure that is not the caller's leads to one more attempt at the same expert (a retry), then to the next
one (a fallback), as far as the retry budget goes; after the first token, never. An expert whose circuit is open, or who
holds as many requests as it can, is passed over; so is one that is being woken (`serve.waker`), unless nobody else is
left. What is said to an expert and how is `serve.expert_channel`'s.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from experts.catalog import Catalog, ExpertSpec
from protos import expert_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.circuit import Circuit, CircuitState
from serve.errors import ContextLengthExceeded, ExpertUnavailable, MoegateError, Overloaded
from serve.expert_channel import ExpertCall, ExpertChannels
from serve.expert_stream import ExpertStream
from serve.failed_attempt import FailedAttempt, Why, may_be_asleep
from serve.hedge import first_of
from serve.ledger import Waste
from serve.losses import Follower, Losses
from serve.metrics.dispatch import DispatchMetrics
from serve.request import ChatRequest
from serve.retry_budget import RetryBudget
from serve.settings import DispatchSettings, ExpertsSettings
from serve.waker import Waker

log = logging.getLogger("moegate.dispatch")

_RETRY_PAUSE_S: Final = 0.05  # so that the ingress may have noticed what died


class Dispatcher:
    """Decides whom to ask next.

    Attributes:
        in_flight: streams open, or being opened, by expert.
        circuits: by expert.
        waker: wakes those that may be without a replica.
    """

    def __init__(
        self,
        catalog: Catalog,
        experts: ExpertsSettings,
        settings: DispatchSettings,
        metrics: DispatchMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._accept_timeout_s = experts.accept_timeout_s
        self._channels = ExpertChannels(experts.target, experts.channels, secret=experts.secret, clock=clock)
        self._budget = RetryBudget(ratio=settings.retry_ratio, burst=settings.retry_burst)
        self._bounds = {expert.name: _most_at_once(expert) for expert in catalog.experts}
        self.in_flight: Counter[str] = Counter()
        self.circuits = {
            name: Circuit(settings.circuit, clock=clock, on_change=partial(self._circuit_changed, name))
            for name in catalog.names
        }
        for name in catalog.names:
            metrics.circuit(name, CircuitState.CLOSED)
        self.waker = Waker(
            (expert.name for expert in catalog.experts if expert.scaling.min_replicas == 0),
            self._channels.describe,
            limit_s=experts.wake_timeout_s,
            on_end=lambda expert, how: metrics.wakes.labels(expert, how).inc(),
        )
        self.waker.on_awake.append(lambda expert, _: self.circuits[expert].succeeded())

    async def close(self) -> None:
        """Close the connections; streams still open are cancelled."""
        await self.waker.close()
        await self._channels.close()

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        """Ask an expert how it is.

        Raises:
            MoegateError: it did not say.
        """
        return await self._channels.describe(expert, timeout_s=timeout_s)

    def is_open(self, expert: str) -> bool:
        """Whether the expert's circuit lets no request through now."""
        return self.circuits[expert].retry_after_s > 0

    @asynccontextmanager
    async def dispatch(
        self, request: ChatRequest, decision: RouteDecision, follower: Follower
    ) -> AsyncIterator[ExpertStream]:
        """Hold open a stream to the first expert of the ranking that gives a first token.

        Leaving the `with`, however, ends the stream at the expert and frees its batch slot. What the attempts
        beside it have cost has been told to `follower` by then.

        Raises:
            MoegateError: nobody gave a first token; the error is the last expert's.
        """
        self._budget.earn()
        experts = _candidates(decision)
        stream = await self._open(request, experts, follower)
        index = experts.index(stream.expert)
        stream.decision = decision if index == 0 else decision.fallback_to(index)
        try:
            yield stream
        finally:
            stream.close()

    async def _open(self, request: ChatRequest, experts: list[str], follower: Follower) -> ExpertStream:
        """Ask one after the other."""
        message = _generate_request(request)
        index = retries = 0
        while True:
            expert, rest = experts[index], experts[index + 1 :]
            losses = Losses(follower)
            try:
                stream = await self._ask(request, message, expert, rest, losses)
            except FailedAttempt as failed:
                if self._may_retry(failed, retries):
                    losses.settle(Waste.RETRIED)
                    retries += 1
                    self._metrics.retries.labels(expert).inc()
                    log.warning("retried", extra={"request_id": request.request_id, "expert": expert})
                    await asyncio.sleep(_RETRY_PAUSE_S)
                elif self._may_fall_back(failed, expert, rest):
                    losses.settle(Waste.FELL_BACK)
                    follower.fell_back(expert, rest[0])
                    index, retries = index + 1, 0
                else:
                    losses.settle(Waste.FAILED)
                    raise failed.error from None
            except BaseException:
                losses.settle(Waste.CANCELLED)
                raise
            else:
                losses.settle(Waste.HEDGED)
                return stream

    async def _ask(
        self, request: ChatRequest, message: pb.GenerateRequest, expert: str, rest: list[str], losses: Losses
    ) -> ExpertStream:
        """Ask one expert and, where hedging is wanted and it is slow, the next one beside it."""
        attempt = partial(self._attempt, request, message, expert, losses, is_last=not rest)
        if self._settings.hedge_after_ms is None or not rest:
            return await attempt()
        return await first_of(
            attempt,
            partial(self._attempt, request, message, rest[0], losses, is_last=len(rest) == 1),
            after_s=self._settings.hedge_after_ms / 1e3,
            may_hedge=partial(self._may_hedge, expert, rest[0]),
        )

    async def _attempt(
        self, request: ChatRequest, message: pb.GenerateRequest, expert: str, losses: Losses, *, is_last: bool
    ) -> ExpertStream:
        """Ask one expert once, up to its first token; the stream counts as in flight until it is closed.

        Raises:
            FailedAttempt: there is no first token.
        """
        circuit = self._enter(expert, is_last=is_last)
        started = self._clock()
        patience_s = self._settings.patience_s
        self.in_flight[expert] += 1
        call: ExpertCall | None = None
        try:
            call = await self._channels.generate(
                expert,
                message,
                timeout_s=request.deadline - started,
                accept_within_s=patience_s if is_last else min(patience_s, self._accept_timeout_s),
                patience_s=patience_s,
                traceparent=request.traceparent,
            )
            first = await call.first()
        except BaseException as error:
            self._left(expert)
            if call is not None:
                call.close()
                losses.add(expert, call.work)
            if (call is None or not call.is_taken_on) and may_be_asleep(error):
                self.waker.wake(expert)
            if not isinstance(error, MoegateError):
                circuit.abandoned()
                raise
            is_silent = call is not None and call.patience.is_over
            # Silence lasts: that this attempt began before another one's silence was over makes it no old news.
            news_since = self._clock() if is_silent else started
            raise self._judge(error, circuit, news_since, is_silent=is_silent) from None
        circuit.succeeded()
        self.waker.answered(expert)
        return ExpertStream(
            expert,
            first,
            call,
            self._clock() - started,
            on_failure=partial(circuit.failed, began_at=started),
            on_close=partial(self._left, expert),
            on_give_up=lambda: losses.add(expert, call.work),
        )

    def _left(self, expert: str) -> None:
        self.in_flight[expert] -= 1

    def _enter(self, expert: str, *, is_last: bool) -> Circuit:
        """Check that the expert may be asked; whoever is let in must tell the circuit how it went.

        Raises:
            FailedAttempt: it may not.
        """
        if self.in_flight[expert] >= self._bounds[expert]:
            raise FailedAttempt(Why.NOT_ASKED, Overloaded("the expert holds as many requests as it can; retry later"))
        if self.waker.is_waiting(expert) and not is_last:
            raise FailedAttempt(Why.NOT_ASKED, ExpertUnavailable("the expert is being woken; retry later"))
        circuit = self.circuits[expert]
        if not circuit.enter():
            wait_s = circuit.retry_after_s
            error = ExpertUnavailable("the expert cannot be reached; retry later", retry_after_s=wait_s)
            raise FailedAttempt(Why.NOT_ASKED, error)
        return circuit

    def _judge(self, error: MoegateError, circuit: Circuit, began_at: float, *, is_silent: bool) -> FailedAttempt:
        if not isinstance(error, ExpertUnavailable):
            circuit.abandoned()
            return FailedAttempt(Why.REFUSED, error)
        circuit.failed(began_at=began_at)
        return FailedAttempt(Why.SILENT if is_silent else Why.BROKE, error)

    def _may_retry(self, failed: FailedAttempt, retries: int) -> bool:
        """Only what broke without a word is worth a second attempt at the same expert."""
        return failed.why is Why.BROKE and retries < self._settings.retries and self._spend()

    def _may_fall_back(self, failed: FailedAttempt, expert: str, rest: list[str]) -> bool:
        if not rest:
            return False
        if failed.why is Why.NOT_ASKED:
            return True  # it has cost nothing
        if isinstance(failed.error, ContextLengthExceeded):
            return self._window(rest[0]) > self._window(expert)
        return isinstance(failed.error, Overloaded | ExpertUnavailable) and self._spend()

    def _may_hedge(self, expert: str, to: str) -> bool:
        if self.is_open(to) or self.waker.is_waiting(to) or self.in_flight[to] >= self._bounds[to] or not self._spend():
            return False
        self._metrics.hedges.labels(expert, to).inc()
        return True

    def _spend(self) -> bool:
        if self._budget.spend():
            return True
        self._metrics.refused_attempts.inc()
        return False

    def _window(self, expert: str) -> int:
        spec = self._catalog.get(expert)
        return spec.prompt_limit if spec else 0

    def _circuit_changed(self, expert: str, state: CircuitState) -> None:
        self._metrics.circuit(expert, state)
        log.warning("circuit", extra={"expert": expert, "state": state.value})


def _most_at_once(expert: ExpertSpec) -> int:
    """What all replicas of an expert can hold, in their batches and queues."""
    return (expert.max_batch_size + expert.max_queue_len) * expert.scaling.max_replicas


def _generate_request(request: ChatRequest) -> pb.GenerateRequest:
    if isinstance(request.input, str):
        return pb.GenerateRequest(prompt=request.input, sampling=request.sampling, request_id=request.request_id)
    return pb.GenerateRequest(conversation=request.input, sampling=request.sampling, request_id=request.request_id)


def _candidates(decision: RouteDecision) -> list[str]:
    """The experts that may answer, best first. One whom the caller named is not replaced by another."""
    experts = [candidate.expert for candidate in decision.ranking]
    return experts[:1] if decision.reason is Reason.PINNED else experts
