"""The gateway process: its parts put together, started, drained and stopped. `moegate gateway` runs it.

The composition root: the only place that makes the parts, hands each what it needs, and owns their order of birth
and death.
"""

import asyncio
import contextlib
import logging
import random
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from experts.catalog import load_catalog
from router.explore import Exploration
from router.router import Router
from serve.admission import Admission
from serve.dispatch import Dispatcher
from serve.gateway import Gateway
from serve.grpc_api import GrpcServer
from serve.health import HealthMonitor
from serve.http_app import HttpApp
from serve.meter import Meters
from serve.metrics import Metrics
from serve.reload import RouterReloader
from serve.settings import RouterSettings, Settings

log = logging.getLogger("moegate.app")


class App:
    """One gateway process.

    Attributes:
        http_address: `host:port`, known once started.
        grpc_address: likewise.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.http_address = ""
        self.grpc_address = ""
        self._catalog = load_catalog(settings.experts.catalog)
        self._router = load_router(settings.router)
        self.metrics = Metrics(_process_registry())
        self.metrics.process.build(self._router.version)
        self._dispatcher = Dispatcher(self._catalog, settings.experts)
        admission = Admission(settings.admission)
        self.metrics.admission.waiting.set_function(lambda: admission.waiting)
        self._health = HealthMonitor(self._catalog, self._dispatcher, self.metrics, settings.experts)
        self.gateway = Gateway(
            catalog=self._catalog,
            router=self._router,
            admission=admission,
            dispatcher=self._dispatcher,
            health=self._health,
            meters=Meters(self._catalog, self.metrics),
            settings=settings.router,
        )
        self._http_app = HttpApp(self.gateway, self.metrics, settings)
        self._http = _HttpServer(self._http_app, settings)
        self._grpc = GrpcServer(self.gateway, settings)
        self._reloader = RouterReloader(self._router, self.metrics, settings.router.reload_interval_s)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open both doors and begin to watch the experts.

        Raises:
            OSError: a port is taken.
        """
        self.gateway.warm_up()
        await self._health.probe_all()
        self._tasks += [asyncio.create_task(self._health.run()), asyncio.create_task(self._reloader.run())]
        self._tasks.append(asyncio.create_task(self.metrics.process.watch_loop()))
        self.grpc_address = await self._grpc.start()
        self.http_address = await self._http.start()
        await self._grpc.set_serving(True)
        log.info("listening", extra={"http": self.http_address, "grpc": self.grpc_address})

    async def stop(self) -> None:
        """Say so, let streams finish within the grace, then end them; leave nothing open."""
        self._http_app.is_draining = True
        grace_s = self.settings.shutdown_grace_s
        log.info("draining", extra={"grace_s": grace_s})
        await asyncio.gather(self._grpc.stop(grace_s), self._http.stop())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._dispatcher.close()
        log.info("stopped")


def load_router(settings: RouterSettings) -> Router:
    """Load the router as the settings want it.

    Raises:
        ArtifactError: its artefact cannot be used.
    """
    exploration = Exploration(settings.explore, random.Random(settings.explore_seed)) if settings.explore else None
    return Router.load(settings.artifact, exploration=exploration, abstain_below=settings.abstain_below)


class _HttpServer(uvicorn.Server):
    """Uvicorn, without its own signal handling: the process has one owner."""

    def __init__(self, app: HttpApp, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.http.host,
            port=settings.http.port,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nothing here asks for the client's address
            timeout_keep_alive=settings.http.keep_alive_s,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
        )
        super().__init__(config)
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `run`."""
        yield

    async def start(self) -> str:
        """Listen. Returns the address, `host:port`.

        Raises:
            OSError: the port is taken.
        """
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listener = socket.create_server((self.config.host, self.config.port), family=family, backlog=2048)
        self._task = asyncio.create_task(self.serve([listener]))
        while not self.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.01)
        return f"{self.config.host}:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """Refuse new connections, let open requests finish within the grace, then cancel them."""
        self.should_exit = True
        if self._task is not None:
            await self._task


async def run(settings: Settings, stop: asyncio.Event, on_ready: Callable[[App], None]) -> None:
    """Run a gateway until `stop` is set.

    Raises:
        OSError: a port is taken.
        CatalogError: the catalogue cannot be used.
        ArtifactError: the router's artefact cannot be used.
    """
    app = App(settings)
    try:
        await app.start()
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


def _process_registry() -> CollectorRegistry:
    """A registry that also tells of the process itself: CPU, memory, files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
