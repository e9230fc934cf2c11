"""The gateway process: its parts are made, started, drained and stopped here. `moegate gateway` runs it.

This is the composition root: the only place that gives each part what it needs (`serve.parts` makes some of them), and
decides the order in which they start and stop.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from experts.catalog.prices import load_prices
from experts.catalog.spec import load_catalog
from serve import parts
from serve.access.exposure import check_exposure
from serve.access.keys import load_keys, make_ring
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.costs.ledger import open_ledger
from serve.dispatch.dispatcher import Dispatcher
from serve.dispatch.health import HealthMonitor
from serve.doors.grpc_api.service import GrpcServer
from serve.doors.http_api.app import HttpApp
from serve.doors.http_api.cross_origin import with_cors
from serve.doors.http_api.server import HttpServer
from serve.doors.openai_api.responses.store import ResponseStore
from serve.feedback.store import FeedbackBook
from serve.gateway import Gateway
from serve.limits.accounts import open_accounts, warn_of_forgetting
from serve.live import sources
from serve.live.remote.mirrors import bring
from serve.live.watch import Watch
from serve.routing.canary import canaries
from serve.routing.expert_states import Candidates
from serve.routing.kinds import load_router
from serve.routing.reload import RouterReloader
from serve.settings.tree import Settings
from serve.steps.build import build_steps
from serve.telemetry.metrics.page import Page, page
from serve.telemetry.recent_decisions import Recent
from serve.telemetry.recent_requests import RecentRequests
from serve.telemetry.recorder import Recorder
from serve.telemetry.tracers import make_tracer
from serve.telemetry.traffic import Traffic
from serve.workers.gc_tuning import freeze_gc
from serve.workers.shared_metrics import SharedMetrics
from serve.workers.sockets import Listening
from serve.workers.supervisor import run_workers

log = logging.getLogger("moegate.app")

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
        self._keys = make_ring(settings.access, keys, hold_s=settings.timeout_s + _LAST_WORDS_S)
        check_exposure(settings, has_keys=not self._keys.is_open)
        if siblings_folder is None:
            warn_of_forgetting(settings.access, keys)
        prices = load_prices(settings.cost.prices)
        self._catalog = load_catalog(settings.experts.catalog, prices)
        self._router = load_router(settings.router, self._catalog)
        self.metrics = parts.make_metrics(self._catalog, self._router.version)
        self._router_trial = parts.open_router_trial(settings, self._catalog, self._router, self.metrics)
        self._ledger = open_ledger(self._catalog, prices, settings.cost, workers=settings.workers)
        self.metrics.money.show(self._ledger)
        self._channels = parts.open_channels(settings.experts)
        self._encoder = parts.open_encoder(settings)
        self._dispatcher = Dispatcher(
            self._catalog, self._channels, settings.experts, settings.dispatch, self.metrics.dispatch
        )
        self._health = HealthMonitor(self._catalog, self._dispatcher, self.metrics, settings.experts)
        self._limits = open_accounts(
            settings.access, siblings_folder, on_failure=self.metrics.access.store_failures.inc
        )
        self._siblings = (
            SharedMetrics(siblings_folder, self.metrics.registry, self.metrics.across) if siblings_folder else None
        )
        self._make_gateway()
        self._make_doors()
        self._make_watch()
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: asyncio.Task[None] | None = None

    def _make_gateway(self) -> None:
        """Make what a request passes between the doors and the experts, and who is told of it."""
        settings, metrics, catalog = self.settings, self.metrics, self._catalog
        self._admission, self._drain = Admission(settings.admission), Drain()
        metrics.admission.waiting.set_function(lambda: self._admission.waiting)
        self._allowances = parts.make_quotas(settings, catalog, self._limits, self._ledger, metrics)
        self._guard, self._toolsets = parts.open_guard(settings, metrics), parts.open_toolsets(settings)
        self._steps = build_steps(
            settings,
            catalog,
            metrics,
            guard=self._guard,
            toolsets=self._toolsets,
            identity=self._identity,
            retriever=self._encoder,
        )
        self._traffic, self._recent = Traffic(metrics.routing, self._router.training_mix), Recent()
        self._recent_requests = RecentRequests()
        self._trials = parts.open_trials(settings, catalog, metrics)
        self._interactions = parts.open_interactions(
            settings, metrics, catalog, self._trials, self._channels, self._ledger, self._admission, self._health
        )
        self._tracer = make_tracer(settings.tracing)
        observers = parts.make_observers(
            catalog,
            metrics,
            self._ledger,
            traffic=self._traffic,
            recent=(self._recent, self._recent_requests),
            trials=(self._trials, self._router_trial),
            interactions=self._interactions,
        )
        self.gateway = Gateway(
            catalog=catalog,
            router=self._router if self._router_trial is None else self._router_trial.router,
            allowances=self._allowances,
            admission=self._admission,
            drain=self._drain,
            dispatcher=self._dispatcher,
            health=self._health,
            candidates=Candidates(catalog, self._health, self._dispatcher),
            recorder=Recorder(observers, self._ledger.book, tracer=self._tracer),
            steps=self._steps,
            on_trial=canaries if self._trials is None else self._trials.going,
            max_tools=settings.tool_selection.most_offered,
            settings=settings.router,
        )

    def _make_doors(self) -> None:
        """Make the ways in: HTTP and gRPC, with what they keep beside the gateway."""
        settings, is_shared = self.settings, self._siblings is not None
        embedder, stores = parts.make_encoder_services(
            settings,
            self._encoder,
            allowances=self._allowances,
            admission=self._admission,
            drain=self._drain,
            metrics=self.metrics,
        )
        self._feedback = FeedbackBook(
            settings.feedback,
            self._recent,
            self.metrics.feedback,
            self._catalog.names,
            on_rating=parts.on_rating(self._trials, self._router_trial),
            redact=partial(parts.redacted, settings),
        )
        self._responses = ResponseStore(settings.responses)
        self._http_app = HttpApp(
            self.gateway,
            self._metrics_page,
            self._feedback,
            self._responses,
            self._keys,
            settings,
            self._allowances,
            self._recent_requests,
            embedder,
            self._guard,
            stores,
        )
        self._http = HttpServer(with_cors(self._http_app, settings.http.cors), settings, is_shared=is_shared)
        self._grpc = GrpcServer(self.gateway, self._feedback, self._keys, settings, embedder, is_shared=is_shared)

    def _make_watch(self) -> None:
        """Make what takes up changes while the gateway serves."""
        settings = self.settings
        self._watch = Watch(
            (
                sources.keys_source(settings.access, self._keys),
                sources.certificate_source(settings.tls, (self._http, self._grpc)),
                sources.catalog_source(settings, self.gateway, self._ledger),
                sources.guard_source(self._guard),
                sources.toolsets_source(self._toolsets),
                sources.trials_source(self._trials, self.gateway),
                sources.router_trial_source(self._router_trial),
            ),
            self.metrics.configuration,
        )
        self._reloader = RouterReloader(
            self._router, self.metrics, settings.router.reload_interval_s, on_reload=self._router_replaced
        )

    def _identity(self) -> bytes:
        """What tells who would answer a request now: the catalogue, the router's artefact, the experts' weights."""
        artifacts = [f"{name}={expert.artifact}" for name, expert in self._health.experts.items()]
        return self._catalog_bytes + "|".join([self._router.version, *artifacts]).encode()

    @cached_property
    def _catalog_bytes(self) -> bytes:
        return self._catalog.model_dump_json().encode()

    async def start(self) -> None:
        """Open both doors and begin to watch the experts.

        Raises:
            OSError: a port is taken.
        """
        self.gateway.warm_up()
        parts.warn_of_gaps(self.gateway.router_coverage())
        if self._siblings is not None:
            await self._siblings.start()
        await self._health.probe_all()
        self._tasks += [asyncio.create_task(self._health.run()), asyncio.create_task(self._reloader.run())]
        self._tasks.append(asyncio.create_task(self._watch.run()))
        for mirror in self._mirrors:
            mirror.show(self.metrics.remote)
            self._tasks.append(asyncio.create_task(mirror.run(self.settings.remote.interval_s)))
        self._tasks.append(asyncio.create_task(self.metrics.process.watch_loop()))
        self._tasks += [asyncio.create_task(step.run()) for step in self._steps]
        if self._interactions is not None:
            self._interactions.writer.start()
        self.grpc_address = await self._grpc.start()
        self.http_address = await self._http.start()
        await self._grpc.set_serving(self._health.is_ready)
        self._telling = asyncio.create_task(self._grpc.follow(lambda: self._health.is_ready))
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
        if self._interactions is not None:
            await self._interactions.close()
        await self._dispatcher.close()
        await self._channels.close()
        if self._encoder is not None:
            await self._encoder.close()
        await self._limits.close()
        if self._siblings is not None:
            await self._siblings.stop()
        await asyncio.to_thread(self._feedback.close)
        await asyncio.to_thread(self._responses.close)
        await asyncio.to_thread(self._tracer.close)
        log.info("stopped")

    def _router_replaced(self, mix: Mapping[str, float]) -> None:
        self._traffic.train_on(mix)
        parts.warn_of_gaps(self.gateway.router_coverage())

    async def _metrics_page(self) -> Page:
        """This process's metrics, or all workers'."""
        return page(self.metrics.registry) if self._siblings is None else await self._siblings.page()


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
