"""The health of each expert as this gateway sees it: up or down by probes, load by probes and by the ends of streams.

A probe is a call of the expert's `Describe` through the ingress that requests take. One lost probe means little,
because replicas are replaced while requests continue. `probe_failures` in a row mean that the expert is down. Until
then dispatch falls back.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from experts.catalog.spec import Catalog
from protos import expert_pb2 as pb
from router.policy.estimates import ExpertEstimate
from serve.dispatch.dispatcher import Dispatcher
from serve.errors import MoegateError
from serve.settings.tree import ExpertsSettings
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.dispatch import CircuitState

log = logging.getLogger("moegate.health")

NOT_ANSWERING: Final = "it does not answer its probes"
CIRCUIT_OPEN: Final = "its circuit is open: requests to it failed"


@dataclass(slots=True)
class ExpertHealth:
    """The latest state of one expert. `running` and `waiting` are sequences on the replica that reported last.

    `estimate` is what its answers were lately like.
    """

    is_ready: bool = False
    failures: int = 0  # probes lost in a row
    running: int = 0
    waiting: int = 0
    structured_output: bool | None = None  # whether it keeps to a response_format; None before its first word
    artifact: str = ""  # content hash of its weights, as it last said
    estimate: ExpertEstimate = field(default_factory=ExpertEstimate)


class HealthMonitor:
    """Probes every expert of the catalogue in turn, until stopped."""

    def __init__(self, catalog: Catalog, dispatcher: Dispatcher, metrics: Metrics, settings: ExpertsSettings) -> None:
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._settings = settings
        self._slots = {spec.name: spec.max_batch_size * spec.scaling.max_replicas for spec in catalog.experts}
        self._cold = {spec.name for spec in catalog.experts if spec.scaling.min_replicas == 0}
        self.experts = {name: ExpertHealth(is_ready=name in self._cold) for name in catalog.names}
        for name in self._cold:
            metrics.experts.ready(name, True)
        dispatcher.waker.on_awake.append(self._probe_answered)

    @property
    def is_ready(self) -> bool:
        """Whether any expert can answer."""
        return any(self.why_not(name) is None for name in self.experts)

    def why_not(self, name: str) -> str | None:
        """Say why an expert cannot answer; None when it can."""
        if not self.experts[name].is_ready:
            return NOT_ANSWERING
        return CIRCUIT_OPEN if self._dispatcher.circuits[name].state is not CircuitState.CLOSED else None

    async def run(self) -> None:
        """Probe all experts at once, then sleep; for ever."""
        while True:
            await self.probe_all()
            await asyncio.sleep(self._settings.probe_interval_s)

    async def probe_all(self) -> None:
        """Probe every expert once, except those that may scale to zero: a probe would keep them awake."""
        await asyncio.gather(*(self._probe(name) for name in self.experts if name not in self._cold))

    async def _probe(self, name: str) -> None:
        try:
            answer = await self._dispatcher.describe(name, timeout_s=self._settings.probe_timeout_s)
        except MoegateError:
            self._probe_failed(name)
        else:
            self._probe_answered(name, answer)

    def _probe_answered(self, name: str, answer: pb.DescribeResponse) -> None:
        health = self.experts[name]
        if not health.is_ready:
            log.info("expert is up", extra={"expert": name})
        health.is_ready, health.failures = True, 0
        health.structured_output = answer.structured_output
        health.artifact = answer.artifact
        self._metrics.experts.ready(name, True)
        self.report_load(name, answer.load)

    def _probe_failed(self, name: str) -> None:
        health = self.experts[name]
        health.failures += 1
        if health.failures < self._settings.probe_failures and health.is_ready:
            return
        if health.is_ready:
            log.warning("expert is down", extra={"expert": name})
        health.is_ready = False
        self._metrics.experts.ready(name, False)

    def report_load(self, name: str, load: pb.Load) -> None:
        """Note how busy an expert reports to be, in a probe or in the last message of a stream."""
        health = self.experts[name]
        health.running, health.waiting = load.running, load.waiting
        self._metrics.experts.load(name, load.running, load.waiting)

    def report_answer(self, name: str, completion: pb.Completion, *, ttft_s: float, now: float) -> None:
        """Note a finished answer, from the last message of its stream.

        Args:
            name: who answered.
            completion: that message's own account.
            ttft_s: from asking the expert to its first token, the gateway's clock.
            now: the gateway's clock.
        """
        self.report_load(name, completion.load)
        timings = completion.timings
        self._metrics.experts.queued(name, timings.queue_s)
        health = self.experts[name]
        health.estimate = health.estimate.answered(
            ttft_s=ttft_s,
            queue_s=timings.queue_s,
            slot_s=timings.prefill_s + timings.decode_s,
            completion_tokens=completion.usage.completion_tokens,
            at=now,
        )

    def has_room(self, name: str) -> bool:
        """Whether an expert has a slot that nobody uses, as far as is known."""
        return self.queue_len(name) < self._slots[name]

    def queue_len(self, name: str) -> int:
        """Sequences in an expert: as it last reported, or as many as this gateway has there, if that is more."""
        health = self.experts[name]
        told, ours = health.running + health.waiting, self._dispatcher.in_flight[name]
        return told if told > ours else ours
