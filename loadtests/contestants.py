"""The contestants of `loadtests.bench`, and how each is started: with its defaults, one process, logs to a file.

moegate runs whole: routing, metrics, limits, one line of log a request. The peers pass requests through: LiteLLM's
proxy as its documentation starts it, vllm-router and sglang-router with one worker and round robin. They come from PyPI
into a separate virtual environment (`make bench-peers`), because their pins exclude ours.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import yaml

from experts.catalog.spec import default_path
from experts.commands.outputs import write
from loadtests.process_tree import ProcessTree

CATALOG_HEADER: Final = "# Made by moegate's load tests out of the shipped catalogue."
_START_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The mock upstream's addresses, `host:port`, in both protocols."""

    grpc: str
    http: str


@dataclass(frozen=True, slots=True)
class Contestant:
    """One gateway.

    Attributes:
        name: as the table has it.
        command: makes the command line from the upstreams, the port to listen on and a folder for files.
        model: what requests ask for.
        ready_path: answers 200 once it serves; None = it prints an address when it does.
        environment: beside ours.
    """

    name: str
    command: Callable[[Upstreams, int, Path], list[str]]
    model: str
    ready_path: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, upstreams: Upstreams, folder: Path) -> tuple[ProcessTree, int]:
        """Start it and wait until it serves; returns it and its port.

        Raises:
            TimeoutError: it does not.
        """
        port = _free_port()
        command = self.command(upstreams, port, folder)
        tree = ProcessTree(command, log=folder / f"{self.name}.log", environment=self.environment)
        try:
            if self.ready_path is None:
                line = tree.await_line("ready: HTTP http://", _START_S)
                return tree, int(line.split("http://")[1].split(",")[0].rpartition(":")[2])
            _await_ok(tree, f"http://127.0.0.1:{port}{self.ready_path}")
        except BaseException:
            tree.stop()
            raise
        return tree, port


def ours(workers: int = 1, catalog: Path | None = None) -> list[Contestant]:
    """What needs no other environment: moegate, with a catalogue of the measurement's own if need be; the floor."""
    environment = {"MOEGATE_EXPERTS__CATALOG": str(catalog)} if catalog else {}

    def moegate(upstreams: Upstreams, port: int, folder: Path) -> list[str]:
        serving = [sys.executable, "-m", "serve.cli", "gateway", "--port", str(port), "--grpc-port", "0"]
        return [*serving, "--target", upstreams.grpc, "--workers", str(workers)]

    def skeleton(upstreams: Upstreams, port: int, folder: Path) -> list[str]:
        return [sys.executable, "-m", "loadtests.skeleton", upstreams.grpc]

    return [
        Contestant("moegate", moegate, "auto", environment=environment),
        Contestant("skeleton", skeleton, "any"),
    ]


def peers(venv: Path) -> list[Contestant]:
    """The peers in a virtual environment."""

    def litellm(upstreams: Upstreams, port: int, folder: Path) -> list[str]:
        parameters = {"model": "openai/mock", "api_base": f"http://{upstreams.http}/v1", "api_key": "none"}
        config = folder / "litellm.json"
        config.write_text(json.dumps({"model_list": [{"model_name": "mock", "litellm_params": parameters}]}))
        return [str(venv / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]

    def router(command: list[str]) -> Callable[[Upstreams, int, Path], list[str]]:
        def build(upstreams: Upstreams, port: int, folder: Path) -> list[str]:
            serving = ["--host", "127.0.0.1", "--port", str(port), "--worker-urls", f"http://{upstreams.http}"]
            own = ["--policy", "round_robin", "--prometheus-port", str(_free_port()), "--log-level", "error"]
            return [*command, *serving, *own]

        return build

    python = str(venv / "bin/python")
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no look-up of prices over the network
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # nobody here asks for keys
    }
    return [
        Contestant("litellm", litellm, "mock", "/health/liveliness", environment),
        Contestant("vllm-router", router([str(venv / "bin/vllm-router")]), "mock", "/health"),
        Contestant("sglang-router", router([python, "-m", "sglang_router.launch_router"]), "mock", "/health"),
    ]


def versions(venv: Path) -> dict[str, str]:
    """What the virtual environment of the peers holds."""
    names = ["litellm", "vllm-router", "sglang-router"]
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    output = subprocess.run([venv / "bin/python", "-c", code], check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = json.loads(output)
    return found


def roomy_catalog(folder: Path, streams: int) -> Path:
    """The experts that ship, each with room for so many requests at once: what is measured is the gateway."""
    content = yaml.safe_load(default_path().read_text())
    for expert in content["experts"]:
        expert["max_batch_size"] = streams
    path = folder / "experts.yaml"
    write(path, f"{CATALOG_HEADER}\n{yaml.safe_dump(content)}")
    return path


def _await_ok(tree: ProcessTree, url: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and not tree.has_ended:
        try:
            with urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} never answered: {tree.log.read_text(errors='replace')[-1500:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
