"""One Ray cluster a session, with echo experts, started as its own process the way the start command does it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
STOP_S = 15.0


@dataclass
class ExpertsProcess:
    """A running `python -m experts.app` and what it has said."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]]

    @property
    def target(self) -> str:
        """Where the ingress listens."""
        return str(next(event["target"] for event in self.events if event["event"] == "ready"))

    def await_ready(self) -> None:
        """Read events until `ready`; fail with what the process said instead."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == "ready":
                return
            assert self.events[-1]["event"] != "failed", self.events[-1]
        raise AssertionError(f"the experts ended with {self.process.wait()} after {self.events}")

    def stop(self) -> int:
        """End it as the start command would; return its exit status."""
        self.process.terminate()
        status = self.process.wait(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


def _start(catalog: Path, log: Path, **environment: str) -> ExpertsProcess:
    """Start the experts of a catalogue; what is not an event goes to `log`."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "experts.app", "--catalog", str(catalog)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    return ExpertsProcess(process, [])


def _echo_catalog(folder: Path, **experts: dict[str, Any]) -> Path:
    """Write a catalogue of echo experts, one a keyword; its fields complete the common ones."""
    common = {
        "description": "echoes",
        "base": "pypi:none",
        "engine": "echo",
        "context_window": 100_000,
        "price": {"usd_per_million": {"prompt": 1, "completion": 1}},
        "licence": "MIT",
        "max_batch_size": 64,
        "max_queue_len": 8,
        "resources": {"num_cpus": 0.1},
    }
    entries = [common | {"name": name} | fields for name, fields in experts.items()]
    path = folder / "experts.yaml"
    path.write_text(yaml.safe_dump({"experts": entries, "default": entries[0]["name"]}))
    return path


@pytest.fixture(scope="session")
def start_experts() -> Callable[..., ExpertsProcess]:
    """How to start another `experts.app`."""
    return _start


@pytest.fixture(scope="session")
def echo_catalog() -> Callable[..., Path]:
    """How to write a catalogue of echo experts."""
    return _echo_catalog


@pytest.fixture(scope="session")
def ray_experts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExpertsProcess]:
    """Three applications: `fast` at 2 ms a token, `slow` at 5 ms, `tiny` with one slot and one place to wait."""
    folder = tmp_path_factory.mktemp("experts")
    tiny = {"context_window": 30, "max_batch_size": 1, "max_queue_len": 1, "engine_options": {"itl_s": 0.5}}
    catalog = _echo_catalog(
        folder, fast={"engine_options": {"itl_s": 0.002}}, slow={"engine_options": {"itl_s": 0.005}}, tiny=tiny
    )
    experts = _start(catalog, folder / "stderr.log")
    try:
        experts.await_ready()
        yield experts
    finally:
        status = experts.stop()
    assert status == 0
