"""Carries a decision out: calls the experts of the ranking until one gives a first token.

Until then a failure that is not the caller's leads to one more attempt at the same expert (a retry), then to the next
one (a fallback), as far as `serve.dispatch.further_attempts` allows; after the first token, never. What a replica says
it failed on is sent once more, to the next expert if there is one: who is to blame is `serve.dispatch.blame`'s. What
an expert hands back because no tool fits goes to whom the words alone ask for (`serve.dispatch.hand_back`). An
expert whose circuit is open, or who holds as many requests as it can, is passed over; so is one that is being woken
(`serve.dispatch.wake_up`), unless nobody else is left. What is said to an expert and how is
`serve.expert_client.channel`'s.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from experts.catalog.spec import Catalog, ExpertSpec
from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.costs.ledger import Waste
from serve.dispatch.asking import Asking
from serve.dispatch.attempt import FailedAttempt, Why, may_be_asleep
from serve.dispatch.blame import Blame
from serve.dispatch.channels import Channels
from serve.dispatch.circuit_breaker import Circuit
from serve.dispatch.circuits import Circuits
from serve.dispatch.further_attempts import FurtherAttempts
from serve.dispatch.hand_back import DecideAgain
from serve.dispatch.hedge import first_of
from serve.dispatch.wake_up import ColdStartWaker
from serve.dispatch.wasted_work import Follower, WastedWork
from serve.errors import ExpertUnavailable, MoegateError, Overloaded, Unanswerable
from serve.expert_client.channel import ExpertCall
from serve.expert_client.stream import ExpertStream
from serve.request import ChatRequest
from serve.settings.tree import DispatchSettings, ExpertsSettings
from serve.telemetry.metrics.dispatch import CircuitState, DispatchMetrics

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
        channels: Channels,
        experts: ExpertsSettings,
        settings: DispatchSettings,
        metrics: DispatchMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._accept_timeout_s = experts.accept_timeout_s
        self._channels = channels
        self._further = FurtherAttempts(catalog, settings, metrics)
        self._handing_back = frozenset(catalog.handing_back)
        self._calling_none = frozenset(catalog.calling_none)
        self._bounds = {expert.name: _most_at_once(expert) for expert in catalog.experts}
        self.in_flight: Counter[str] = Counter()
        self.circuits = Circuits(
            catalog.names,
            settings.circuit,
            self._channels.describe,
            probe_timeout_s=experts.probe_timeout_s,
            clock=clock,
            on_change=metrics.circuit,
        )
        self.waker = ColdStartWaker(
            (expert.name for expert in catalog.experts if expert.scaling.min_replicas == 0),
            self._channels.describe,
            limit_s=experts.wake_timeout_s,
            on_end=lambda expert, how: metrics.wakes.labels(expert, how).inc(),
        )
        self.waker.on_awake.append(lambda expert, _: self.circuits[expert].succeeded())

    async def close(self) -> None:
        """Ask nobody any more how it is."""
        await self.circuits.close()
        await self.waker.close()

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        """Probe an expert.

        Raises:
            MoegateError: it did not say.
        """
        return await self._channels.describe(expert, timeout_s=timeout_s)

    def is_open(self, expert: str) -> bool:
        """Whether the expert's circuit lets no request through now."""
        circuit = self.circuits[expert]
        return circuit.state is not CircuitState.CLOSED and circuit.retry_after_s > 0

    @asynccontextmanager
    async def dispatch(
        self, request: ChatRequest, decision: RouteDecision, follower: Follower, decide_again: DecideAgain
    ) -> AsyncIterator[ExpertStream]:
        """Hold open a stream to the first expert of the ranking that gives a first token.

        Leaving the `with`, however, ends the stream at the expert and frees its batch slot. What the attempts
        beside it have cost has been told to `follower` by then. `decide_again` ranks anew for an expert that hands the
        request back; that has nothing to do with failures, so neither a circuit nor the retry budget hears of it.

        Raises:
            MoegateError: nobody gave a first token; the error is the last expert's.
        """
        self._further.earn()
        asking = Asking(request, decision, self._handing_back, self._calling_none, decide_again)
        stream = await self._open(asking, follower)
        stream.decision = asking.answered_by(stream.expert)
        try:
            yield stream
        finally:
            stream.close()

    async def _open(self, asking: Asking, follower: Follower) -> ExpertStream:
        """Ask one after the other, and anew in another order where one hands the request back."""
        stream = await self._first_word(asking, follower)
        if not stream.is_handed_back:
            return stream
        losses = WastedWork(follower)
        losses.add(stream.expert, stream.work)
        losses.settle(Waste.HANDED_BACK)
        stream.close()
        asking.hand_back(stream.expert, follower)
        return await self._first_word(asking, follower)

    async def _first_word(self, asking: Asking, follower: Follower) -> ExpertStream:
        """Ask one after the other until one says something."""
        index = retries = 0
        while True:
            expert, rest = asking.experts[index], asking.experts[index + 1 :]
            losses = WastedWork(follower)
            try:
                stream = await self._ask(asking, expert, rest, losses)
            except FailedAttempt as failed:
                if asking.blame.is_the_requests:
                    losses.settle(Waste.FAILED)
                    raise await self._verdict(asking.blame, expert) from None
                if self._further.may_retry(failed, rest, retries):
                    losses.settle(Waste.RETRIED)
                    retries += 1
                    self._metrics.retries.labels(expert).inc()
                    log.warning("retried", extra={"request_id": asking.request.request_id, "expert": expert})
                    await asyncio.sleep(_RETRY_PAUSE_S)
                elif self._further.may_fall_back(failed, expert, rest):
                    losses.settle(Waste.FELL_BACK)
                    follower.fell_back(expert, rest[0])
                    index, retries = index + 1, 0
                else:
                    losses.settle(Waste.FAILED)
                    asking.blame.is_the_experts()
                    raise failed.error from None
            except BaseException:
                losses.settle(Waste.CANCELLED)
                raise
            else:
                losses.settle(Waste.HEDGED)
                asking.blame.is_the_experts()
                return stream

    async def _verdict(self, blame: Blame, expert: str) -> MoegateError:
        """Say why two replicas failed on one request: it is to blame, unless the expert's own probe fails as well."""
        if await self.circuits.is_well(expert):
            return Unanswerable("experts fail on this request wherever it is sent; sending it again will not help")
        blame.is_proven()
        return ExpertUnavailable("the expert cannot be reached; retry later")

    async def _ask(self, asking: Asking, expert: str, rest: list[str], losses: WastedWork) -> ExpertStream:
        """Ask one expert and, where hedging is wanted and it is slow, the next one beside it."""
        may_hand_back = asking.may_hand_back(expert)
        attempt = partial(self._attempt, asking, expert, losses, is_last=not rest, may_hand_back=may_hand_back)
        if self._settings.hedge_after_ms is None or not rest:
            return await attempt()
        return await first_of(
            attempt,
            partial(self._attempt, asking, rest[0], losses, is_last=len(rest) == 1),
            after_s=self._settings.hedge_after_ms / 1e3,
            may_hedge=partial(self._may_hedge, expert, rest[0]),
        )

    async def _attempt(
        self, asking: Asking, expert: str, losses: WastedWork, *, is_last: bool, may_hand_back: bool = False
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
                asking.message(expert, may_hand_back=may_hand_back),
                timeout_s=asking.request.deadline - started,
                accept_within_s=patience_s if is_last else min(patience_s, self._accept_timeout_s),
                patience_s=patience_s,
                traceparent=asking.request.traceparent,
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
            raise self._judge(error, call, circuit, started, asking) from None
        circuit.succeeded()
        self.waker.answered(expert)
        return ExpertStream(
            expert,
            first,
            call,
            self._clock() - started,
            on_failure=lambda: circuit.failed(began_at=started, witness=asking.witness(call)),
            on_close=partial(self._left, expert),
            on_give_up=lambda: losses.add(expert, call.work),
        )

    def _left(self, expert: str) -> None:
        self.in_flight[expert] -= 1

    def _enter(self, expert: str, *, is_last: bool) -> Circuit:
        """Check that the expert may be asked; the caller must then tell the circuit how the attempt ended.

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

    def _judge(
        self, error: MoegateError, call: ExpertCall | None, circuit: Circuit, began_at: float, asking: Asking
    ) -> FailedAttempt:
        if call is not None and call.is_told:
            asking.blame.add(circuit, began_at)
            return FailedAttempt(Why.FAILED, error)
        if not isinstance(error, ExpertUnavailable):
            circuit.abandoned()
            return FailedAttempt(Why.REFUSED, error)
        is_silent = call is not None and call.patience.is_over
        # Silence lasts: that this attempt began before another one's silence was over makes it no old news.
        circuit.failed(began_at=self._clock() if is_silent else began_at, witness=asking.witness(call))
        return FailedAttempt(Why.SILENT if is_silent else Why.BROKE, error)

    def _may_hedge(self, expert: str, to: str) -> bool:
        is_free = not (self.is_open(to) or self.waker.is_waiting(to) or self.in_flight[to] >= self._bounds[to])
        return is_free and self._further.may_hedge(expert, to)


def _most_at_once(expert: ExpertSpec) -> int:
    """What all replicas of an expert can hold, in their batches and queues."""
    return (expert.max_batch_size + expert.max_queue_len) * expert.scaling.max_replicas
