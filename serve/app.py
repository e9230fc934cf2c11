"""The gateway process: its parts are made, started, drained and stopped here. `moegate gateway` runs it.

This is the composition root: the only place that makes the parts, gives each what it needs, and decides the order in
which they start and stop.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from experts.catalog.encoders import encoder_name
from experts.catalog.engine_limits import prompt_bucket
from experts.catalog.prices import load_prices
from experts.catalog.spec import load_catalog
from router.decision import Coverage
from serve.access.exposure import check_exposure
from serve.access.keys import load_keys, make_ring
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.costs.ledger import Ledger, open_ledger
from serve.dispatch.dispatcher import Dispatcher
from serve.dispatch.health import HealthMonitor
from serve.embeddings.embedder import Embedder
from serve.expert_client.channel import ExpertChannels
from serve.expert_client.encoder_channel import EncoderChannel
from serve.feedback.store import FeedbackBook
from serve.gateway import Gateway
from serve.grpc_api.service import GrpcServer
from serve.http_api.app import HttpApp
from serve.http_api.cross_origin import with_cors
from serve.http_api.server import HttpServer
from serve.limits.accounts import open_accounts, warn_of_forgetting
from serve.limits.quota import Quotas
from serve.limits.reservation import Reservations
from serve.live.sources import catalog_source, guard_source, keys_source, trials_source
from serve.live.watch import Watch
from serve.openai_api.responses.store import ResponseStore
from serve.remote.mirrors import bring
from serve.routing.canary import canaries
from serve.routing.expert_states import Candidates
from serve.routing.kinds import load_router
from serve.routing.reload import RouterReloader
from serve.settings.tree import ExpertsSettings, Settings, SettingsError
from serve.steps.build import build_steps
from serve.steps.guard.in_force import GuardRules
from serve.telemetry.logs import count_losses
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import Page, page
from serve.telemetry.metrics.process import process_registry
from serve.telemetry.observer import Observer
from serve.telemetry.observers.keys import KeyObserver
from serve.telemetry.observers.ledger import LedgerObserver
from serve.telemetry.observers.log import LogObserver
from serve.telemetry.observers.metrics import MetricsObserver
from serve.telemetry.observers.tracing import TraceObserver
from serve.telemetry.recent_decisions import Recent
from serve.telemetry.record import Recorder
from serve.telemetry.tracers import make_tracer
from serve.telemetry.traffic import Traffic
from serve.workers.gc_tuning import freeze_gc
from serve.workers.shared_metrics import SharedMetrics
from serve.workers.sockets import Listening
from serve.workers.supervisor import run_workers

if TYPE_CHECKING:
    from serve.interactions.build import Interactions
    from serve.routing.trials import Trials

log = logging.getLogger("moegate.app")

_READINESS_S: Final = 0.25  # how often the gRPC door's health is brought up to date
_LAST_WORDS_S: Final = 3.0  # after the grace, for the errors to reach the clients


class App:
    """One gateway process.

    Attributes:
        http_address: `host:port`, known once started.
        grpc_address: likewise.
    """

    http_address = ""
    grpc_address = ""

    def __init__(self, settings: Settings, *, siblings_folder: Path | None = None) -> None:
        """Make the parts; with `siblings_folder`, as one of several workers that share the ports."""
        self.settings, self._mirrors = settings, _ = bring(settings)
        keys = load_keys(settings.access)
        key_ring = make_ring(settings.access, keys, hold_s=settings.timeout_s + _LAST_WORDS_S)
        check_exposure(settings, has_keys=not key_ring.is_open)
        prices = load_prices(settings.cost.prices)
        self._catalog = load_catalog(settings.experts.catalog, prices)
        self._router = load_router(settings.router, self._catalog)
        self.metrics = self._make_metrics()
        self._channels = _open_channels(settings.experts)
        self._dispatcher = Dispatcher(
            self._catalog, self._channels, settings.experts, settings.dispatch, self.metrics.dispatch
        )
        admission = Admission(settings.admission)
        self.metrics.admission.waiting.set_function(lambda: admission.waiting)
        self._drain = Drain()
        self._health = HealthMonitor(self._catalog, self._dispatcher, self.metrics, settings.experts)
        self._limits = open_accounts(
            settings.access, siblings_folder, on_failure=self.metrics.access.store_failures.inc
        )
        if siblings_folder is None:
            warn_of_forgetting(settings.access, keys)
        ledger = open_ledger(self._catalog, prices, settings.cost, workers=settings.workers)
        self.metrics.money.show(ledger)
        self._traffic = Traffic(self.metrics.routing, self._router.training_mix)
        self._recent = Recent()
        guard = GuardRules(settings.guard.rules, self.metrics.guard) if settings.guard.rules else None
        self._encoder = _open_encoder(settings)
        self._steps = build_steps(
            settings, self._catalog, self.metrics, guard=guard, identity=self._identity, retriever=self._encoder
        )
        self._tracer = make_tracer(settings.tracing)
        allowances = Quotas(
            self._limits,
            Reservations(self._catalog, ledger.tariffs, is_hedging=settings.dispatch.hedge_after_ms is not None),
            on_refusal=lambda short: self.metrics.access.limited.labels(short.value).inc(),
        )
        self.gateway = Gateway(
            catalog=self._catalog,
            router=self._router,
            allowances=allowances,
            admission=admission,
            drain=self._drain,
            dispatcher=self._dispatcher,
            health=self._health,
            candidates=Candidates(self._catalog, self._health, self._dispatcher),
            recorder=Recorder(self._observers(ledger), ledger.book, tracer=self._tracer),
            steps=self._steps,
            on_trial=canaries if self._trials is None else self._trials.going,
            max_tools=settings.tool_selection.most_offered,
            settings=settings.router,
        )
        embedder = self._make_embedder(allowances, admission)
        self._feedback = FeedbackBook(
            settings.feedback,
            self._recent,
            self.metrics.feedback,
            self._catalog.names,
            on_rating=None if self._trials is None else self._trials.rated,
        )
        self._responses = ResponseStore(settings.responses)
        self._siblings = (
            SharedMetrics(siblings_folder, self.metrics.registry, self.metrics.across) if siblings_folder else None
        )
        is_shared = self._siblings is not None
        self._http_app = HttpApp(
            self.gateway, self._metrics_page, self._feedback, self._responses, key_ring, settings, embedder
        )
        self._http = HttpServer(with_cors(self._http_app, settings.http.cors), settings, is_shared=is_shared)
        self._grpc = GrpcServer(self.gateway, self._feedback, key_ring, settings, embedder, is_shared=is_shared)
        self._watch = Watch(
            (
                keys_source(settings.access, key_ring),
                catalog_source(settings, self.gateway, ledger),
                guard_source(guard),
                trials_source(self._trials, self.gateway),
            ),
            self.metrics.configuration,
        )
        self._reloader = RouterReloader(
            self._router, self.metrics, settings.router.reload_interval_s, on_reload=self._router_replaced
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: asyncio.Task[None] | None = None

    def _make_metrics(self) -> Metrics:
        metrics = Metrics(process_registry())
        metrics.expect(self._catalog.names, self._catalog.handing_back)
        metrics.process.build(self._router.version)
        count_losses(metrics.process.lost_lines.inc)
        return metrics

    def _make_embedder(self, allowances: Quotas, admission: Admission) -> Embedder | None:
        """Make what answers requests for embeddings, where there is an encoder."""
        if self._encoder is None:
            return None
        return Embedder(
            encoder_name(self.settings.encoder.base),
            self.settings.encoder,
            self._encoder,
            allowances=allowances,
            admission=admission,
            drain=self._drain,
            metrics=self.metrics.encoder,
            keys=self.metrics.keys,
        )

    def _identity(self) -> bytes:
        """What tells who would answer a request now: the catalogue, the router's artefact, the experts' weights."""
        artifacts = [f"{name}={expert.artifact}" for name, expert in self._health.experts.items()]
        return self._catalog_bytes + "|".join([self._router.version, *artifacts]).encode()

    @cached_property
    def _interactions(self) -> "Interactions | None":
        settings, experts = self.settings.interactions, self._health.experts
        if not settings.is_on:
            return None
        from serve.interactions.build import open_interactions  # noqa: PLC0415  # only who keeps some pays for it

        return open_interactions(
            settings, self.metrics.interactions, self._catalog_bytes, lambda name: experts[name].artifact
        )

    @cached_property
    def _trials(self) -> "Trials | None":
        if not canaries(self._catalog):
            return None
        from serve.routing.trials import Trials  # noqa: PLC0415  # only who tries somebody out pays for it

        return Trials(self.settings.flywheel.place / "ended-trials.jsonl", self.metrics.trials)

    @cached_property
    def _catalog_bytes(self) -> bytes:
        return self._catalog.model_dump_json().encode()

    def _observers(self, ledger: Ledger) -> tuple[Observer, ...]:
        """Who is told of every request, in this order."""
        buckets = {expert.name: prompt_bucket(expert) for expert in self._catalog.experts}
        return (
            MetricsObserver(self.metrics, buckets),
            LedgerObserver(ledger),
            KeyObserver(self.metrics.keys),
            self._traffic,
            self._recent,
            TraceObserver(),
            LogObserver(),
            *(() if self._trials is None else (self._trials,)),
            *(() if self._interactions is None else (self._interactions.observer,)),
        )

    async def start(self) -> None:
        """Open both doors and begin to watch the experts.

        Raises:
            OSError: a port is taken.
        """
        self.gateway.warm_up()
        warn_of_gaps(self.gateway.router_coverage())
        if self._siblings is not None:
            await self._siblings.start()
        await self._health.probe_all()
        self._tasks += [asyncio.create_task(self._health.run()), asyncio.create_task(self._reloader.run())]
        self._tasks.append(asyncio.create_task(self._watch.run()))
        interval_s = self.settings.remote.interval_s
        for mirror in self._mirrors:
            mirror.show(self.metrics.remote)
            self._tasks.append(asyncio.create_task(mirror.run(interval_s)))
        self._tasks.append(asyncio.create_task(self.metrics.process.watch_loop()))
        self._tasks += [asyncio.create_task(step.run()) for step in self._steps]
        if self._interactions is not None:
            self._interactions.writer.start()
        self.grpc_address = await self._grpc.start()
        self.http_address = await self._http.start()
        await self._grpc.set_serving(self._health.is_ready)
        self._telling = asyncio.create_task(self._tell_readiness())
        log.info("listening", extra={"http": self.http_address, "grpc": self.grpc_address})

    async def stop(self) -> None:
        """Say so, close the doors, let streams finish within the grace, then end them; leave nothing open."""
        delay_s, grace_s = self.settings.shutdown_delay_s, self.settings.shutdown_grace_s
        log.info("draining", extra={"delay_s": delay_s, "grace_s": grace_s})
        self._http_app.is_draining = True
        if self._telling is not None:
            self._telling.cancel()
        await self._grpc.set_serving(False)
        await asyncio.sleep(delay_s)
        end = asyncio.get_running_loop().call_later(grace_s, self._drain.happen)
        await asyncio.gather(self._grpc.stop(grace_s + _LAST_WORDS_S), self._http.stop())
        end.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._dispatcher.close()
        await self._channels.close()
        if self._encoder is not None:
            await self._encoder.close()
        await self._limits.close()
        if self._siblings is not None:
            await self._siblings.stop()
        await asyncio.to_thread(self._feedback.close)
        await asyncio.to_thread(self._responses.close)
        if self._interactions is not None:
            await asyncio.to_thread(self._interactions.writer.close)
        await asyncio.to_thread(self._tracer.close)
        log.info("stopped")

    async def _tell_readiness(self) -> None:
        """Tell `grpc.health.v1` what `/ready` says, whenever it changes."""
        told = None
        while True:
            if told is not self._health.is_ready:
                told = self._health.is_ready
                await self._grpc.set_serving(told)
            await asyncio.sleep(_READINESS_S)

    def _router_replaced(self, mix: Mapping[str, float]) -> None:
        self._traffic.train_on(mix)
        warn_of_gaps(self.gateway.router_coverage())

    async def _metrics_page(self) -> Page:
        """This process's metrics, or all workers'."""
        return page(self.metrics.registry) if self._siblings is None else await self._siblings.page()


def warn_of_gaps(coverage: Coverage) -> None:
    """Say which experts the router cannot choose, and which of its classes nobody serves."""
    if coverage.unknown_experts:
        log.warning("the router does not know these experts", extra={"experts": list(coverage.unknown_experts)})
    if coverage.classes_without_expert:
        classes = list(coverage.classes_without_expert)
        log.warning("the router knows classes that no expert serves", extra={"classes": classes})


async def run(settings: Settings, stop: asyncio.Event, on_ready: Callable[[Listening], None]) -> None:
    """Run a gateway, of as many workers as the settings say, until `stop` is set.

    Raises:
        OSError: a port is taken.
        WorkersFailed: a worker cannot be started.
        CatalogError: the catalogue cannot be used.
        ArtifactError: the router's artefact cannot be used.
    """
    if settings.workers > 1:
        await run_workers(settings, stop, on_ready)
        return
    app = App(settings)
    try:
        await app.start()
        freeze_gc()
        on_ready(app)
        await stop.wait()
    finally:
        await app.stop()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set. Call inside the loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


def _open_channels(settings: ExpertsSettings) -> ExpertChannels:
    return ExpertChannels(settings.target, settings.channels, secret=settings.secret)


def _open_encoder(settings: Settings) -> EncoderChannel | None:
    """Make the way to the encoder, where there is one.

    Raises:
        SettingsError: retrieval needs it, and it is off.
    """
    if settings.retrieval.enabled and not settings.encoder.enabled:
        raise SettingsError("retrieval.enabled: collections are searched beside the encoder; set encoder.enabled, too")
    experts = settings.experts
    return EncoderChannel(experts.target, secret=experts.secret) if settings.encoder.enabled else None
