"""The `moegate` command: `up`, `gateway`, `route`, `plan`, `guard`, `flywheel`, `key` and `config check`.

`up` runs everything on one machine, `gateway` the gateway alone. `route` shows a decision, `plan` simulates a fleet,
`guard` shows what rules find, `key` adds, revokes and lists API keys, and `config check` lists every mistake of a
settings file.
"""

import argparse
import asyncio
import os
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from rich.console import Console

from experts.catalog.prices import PricesError
from experts.catalog.spec import CatalogError, load_catalog
from router.errors import RouterError
from serve import __version__
from serve.app import run
from serve.commands import config_check, flywheel, guard, keys
from serve.commands.explained import explain_request
from serve.commands.plan import command as plan
from serve.commands.plan.description import PlanError
from serve.commands.up import ExpertsFailed, UpOptions, up
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.errors import MoegateError
from serve.live.remote.mirrors import bring
from serve.routing.kinds import load_router
from serve.settings.tree import Settings, SettingsError, load_settings
from serve.telemetry.logs import set_up_logging
from serve.workers import ports
from serve.workers.signals import stop_on_signals
from serve.workers.supervisor import WorkersFailed

_INTERRUPTED: Final = 130  # what a shell reports of a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the process's exit status."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int | None] = arguments.command
    try:
        return command(arguments) or 0
    except (
        SettingsError,
        CatalogError,
        PricesError,
        RouterError,
        ExpertsFailed,
        WorkersFailed,
        PlanError,
        OSError,
    ) as error:
        for line in str(error).splitlines():
            print(f"moegate: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        _let_go_of_logs()


def _let_go_of_logs() -> None:
    """What standard error would not take (a full disk) is dropped: Python would end with status 120 over it."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="moegate", description="A learned gateway in front of fine-tuned experts.")
    parser.add_argument("--version", action="version", version=f"moegate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serving = argparse.ArgumentParser(add_help=False)
    serving.add_argument("--host", help="address of both doors (default 127.0.0.1)")
    serving.add_argument("--port", type=int, help="HTTP port (default 8000; 0 = any free one)")
    serving.add_argument("--grpc-port", type=int, help="gRPC port (default 8001; 0 = any free one)")
    serving.add_argument("--workers", type=int, help="gateway processes that share both ports (default 1)")
    serving.add_argument("--catalog", type=Path, metavar="FILE", help="experts, as in deploy/experts.yaml")
    serving.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")

    whole = commands.add_parser("up", parents=[serving], help="prepare and start the experts and the gateway")
    whole.add_argument("--engine", choices=("echo", "openvino", "neuron"), help="every expert's engine")
    whole.set_defaults(command=_up)

    alone = commands.add_parser("gateway", parents=[serving], help="start the gateway alone, in front of a running Ray")
    alone.add_argument("--target", metavar="HOST:PORT", help="Ray Serve's gRPC ingress")
    alone.set_defaults(command=_gateway)

    route = commands.add_parser("route", help="say where a text would go, without any server")
    route.add_argument("text", nargs="?", help="what the user says")
    route.add_argument("--system", metavar="TEXT", help="a system prompt before it")
    route.add_argument(
        "--request", type=Path, metavar="FILE", help="in place of a text: the JSON body of a chat completion"
    )
    route.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    route.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
    route.set_defaults(command=_route)

    key = commands.add_parser("key", help="API keys: add, revoke, list, usage")
    keys.add_arguments(key)

    config = commands.add_parser("config", help="check a settings file")
    config_check.add_arguments(config)

    guarding = commands.add_parser("guard", help="say what the guard's rules find in a text, or how good they are")
    guard.add_arguments(guarding)

    turning = commands.add_parser("flywheel", help="from traffic to better experts: keep, curate, judge, promote")
    flywheel.add_arguments(turning)

    fleet = commands.add_parser("plan", help="simulate a fleet: latency, replicas, USD, before it is bought")
    plan.add_arguments(fleet)
    return parser


def _up(arguments: argparse.Namespace) -> None:
    settings, _ = bring(_settings(arguments))  # the experts want the catalogue as well
    console = Console(highlight=False)
    _run(settings, up(settings, UpOptions(engine=arguments.engine), console))


def _gateway(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    ports.check(settings)

    async def serve_until_stopped() -> None:
        ready = "moegate gateway ready: HTTP http://{0.http_address}, gRPC {0.grpc_address}"
        await run(settings, stop_on_signals(), lambda app: print(ready.format(app), flush=True))

    _run(settings, serve_until_stopped())


def _route(arguments: argparse.Namespace) -> None:
    settings, _ = bring(load_settings(arguments.config))
    catalog = load_catalog(settings.experts.catalog)
    explanation = explain_request(
        _routed_body(arguments), catalog, load_router(settings.router, catalog), settings.router
    )
    if arguments.json:
        print(orjson.dumps(explanation.as_dict()).decode())
    else:
        Console().print(explanation)


def _routed_body(arguments: argparse.Namespace) -> ChatCompletionBody:
    """The request that `moegate route` is to explain.

    Raises:
        SettingsError: neither a text nor a request is given, or the request is none.
    """
    if (arguments.text is None) == (arguments.request is None):
        raise SettingsError("give a text, or --request FILE with the body of a chat completion")
    if arguments.text is not None:
        system = [{"role": "system", "content": arguments.system}] if arguments.system else []
        raw = orjson.dumps({"messages": [*system, {"role": "user", "content": arguments.text}]})
    else:
        raw = arguments.request.read_bytes()
    try:
        return parse(ChatCompletionBody, raw)
    except MoegateError as error:
        raise SettingsError(f"{arguments.request}: {error}") from None


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings, with what the command line says on top."""
    given = {
        "http": {"host": arguments.host, "port": arguments.port},
        "grpc": {"host": arguments.host, "port": arguments.grpc_port},
        "experts": {"target": getattr(arguments, "target", None), "catalog": arguments.catalog},
    }
    overrides: dict[str, Any] = {
        section: {key: value for key, value in values.items() if value is not None} for section, values in given.items()
    }
    if arguments.workers is not None:
        overrides["workers"] = arguments.workers
    return load_settings(arguments.config, {name: given for name, given in overrides.items() if given != {}})


def raise_file_limit() -> None:
    """Let this process and its children have as many open files as the machine allows: a stream is one or two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(settings: Settings, work: Coroutine[Any, Any, None]) -> None:
    set_up_logging(settings.log.level)
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


if __name__ == "__main__":
    sys.exit(main())
