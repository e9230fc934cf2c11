"""A real Prometheus for the length of a `with`, and its HTTP API; found on the PATH, or named by `PROMETHEUS`.

Debian has it as the package `prometheus`; nothing else of that package is needed than its two binaries.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CONFIG: Final = Path(__file__).parents[1] / "prometheus" / "prometheus.yml"
_START_S: Final = 30.0


class PrometheusError(Exception):
    """It is not there, did not start, or refused a query."""


def find_binary(name: str = "prometheus") -> str | None:
    """The binary: `PROMETHEUS` or `PROMTOOL` in the environment, else on the PATH."""
    return os.environ.get(name.upper()) or shutil.which(name)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running one."""

    url: str

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Ask it now.

        Raises:
            PrometheusError: it refused the query.
        """
        result = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
        found: list[dict[str, Any]] = result["result"]
        return found

    def alerts(self) -> dict[str, str]:
        """Every alert that is pending or firing, by name."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self._get("/api/v1/alerts")["alerts"]}

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            raise PrometheusError(json.load(error).get("error", str(error))) from None
        data: dict[str, Any] = content["data"]
        return data


@contextlib.contextmanager
def running_prometheus(
    target: str, *, at_once: bool = False, labels: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """Scrape `target` (host:port) every second with our own configuration and rules.

    Args:
        target: the gateway.
        at_once: alerts fire without their `for`.
        labels: of the target, `job` among them, in place of the job `moegate`: those that a cluster would give it.

    Raises:
        PrometheusError: there is no binary, or it did not start.
    """
    binary = find_binary()
    if binary is None:
        raise PrometheusError("no prometheus: install Debian's package, or name a binary in $PROMETHEUS")
    with tempfile.TemporaryDirectory(prefix="moegate-observe-") as folder:
        address = f"127.0.0.1:{_free_port()}"
        config = _write_config(Path(folder), target, labels or {}, at_once=at_once)
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield _await_ready(process, f"http://{address}")
            finally:
                process.terminate()


def _write_config(folder: Path, target: str, labels: Mapping[str, str], *, at_once: bool) -> Path:
    content = yaml.safe_load(CONFIG.read_text())
    content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    targets = {"targets": [target], "labels": dict(labels)}
    content["scrape_configs"] = [{"job_name": "moegate", "static_configs": [targets]}]
    rules = folder / "rules"
    rules.mkdir()
    for path in (CONFIG.parent / "rules").glob("*.yml"):
        text = yaml.safe_load(path.read_text())
        for rule in (rule for group in text["groups"] for rule in group["rules"]):
            if at_once and "for" in rule:
                rule["for"] = "0s"
        (rules / path.name).write_text(yaml.safe_dump(text))
    content["rule_files"] = [str(rules / "*.yml")]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(content))
    return config


def _await_ready(process: "subprocess.Popen[bytes]", url: str) -> Prometheus:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return Prometheus(url)
        time.sleep(0.1)
    raise PrometheusError(f"prometheus did not start (status {process.poll()})")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
