"""`make observe`: a real Prometheus against a running moegate with traffic, and every query of dashboards and rules.

`python -m deploy.observe.check` starts `moegate up --engine echo` unless `--moegate URL` names a running one. Exits 1
if a query of a panel or rule fails or comes back empty. Queries of Ray's and Neuron's panels may be empty, because
their exporters may not be scraped.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from deploy.observe.prometheus import Prometheus, PrometheusError, running_prometheus
from deploy.observe.queries import panel_queries, rule_queries
from deploy.observe.traffic import drive

TRAFFIC_S: Final = 20.0
_STOP_S: Final = 30.0
_RULES: Final = Path(__file__).parents[1] / "guard.yaml"
_ROUTER: Final = Path(__file__).parents[2] / "router" / "artifacts" / "router.npz"


def failures(prometheus: Prometheus) -> tuple[int, list[str]]:
    """Ask every query. Returns how many there were, and what is wrong, a line each."""
    wrong = []
    asked = [*panel_queries(window="30s"), *rule_queries()]
    for query in asked:
        try:
            rows = prometheus.query(query.expr)
        except PrometheusError as error:
            wrong.append(f"{query.where}: {error}")
            continue
        if not rows and query.source == "moegate":
            wrong.append(f"{query.where}: empty: {query.expr}")
    return len(asked), wrong


def observe(url: str, console: Console, *, seconds: float = TRAFFIC_S) -> int:
    """Scrape, send traffic, ask; returns the exit status."""
    with running_prometheus(urllib.parse.urlsplit(url).netloc) as prometheus:
        console.print(f"Prometheus {prometheus.url} scrapes {url}; {seconds:.0f} s of traffic")
        console.print(f"answers by status: {drive(url, seconds)}")
        count, wrong = failures(prometheus)
    console.print(f"{count} queries of panels and rules, {len(wrong)} wrong")
    for line in wrong:
        console.print(f"  {line}", markup=False, style="red")
    return bool(wrong)


@contextlib.contextmanager
def _moegate() -> Iterator[str]:
    """`moegate up --engine echo` on free ports."""
    command = (sys.executable, "-m", "serve.cli", "up", "--engine", "echo", "--port", "0", "--grpc-port", "0")
    environment = os.environ | {"MOEGATE_GUARD__RULES": str(_RULES), "MOEGATE_REMOTE__ROUTER": f"file://{_ROUTER}"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None  # a pipe
            ready = (re.search(r"moegate ready: HTTP (\S+),", line) for line in process.stdout)
            found = next((match for match in ready if match), None)
            if found is None:
                raise PrometheusError("moegate did not start")
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_STOP_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every query of the dashboards and rules against a live Prometheus."""
    parser = argparse.ArgumentParser(prog="python -m deploy.observe.check", description=main.__doc__)
    parser.add_argument("--moegate", metavar="URL", help="a running gateway (default: start one with echo experts)")
    parser.add_argument("--seconds", type=float, default=TRAFFIC_S, help="length of the traffic")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    source = contextlib.nullcontext(options.moegate) if options.moegate else _moegate()
    try:
        with source as url:
            return observe(url, console, seconds=options.seconds)
    except PrometheusError as error:
        console.print(f"observe: {error}", style="red")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
