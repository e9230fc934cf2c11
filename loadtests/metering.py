"""What observation costs: CPU a request for metrics, ledger, traffic and log, and the time of a scrape with all labels.

`python -m loadtests.metering [--total-us N]`. N is the gateway's whole CPU a request as `make bench` found it; if it is
given, the share is printed. CPU seconds of this process, not wall time, minus the cost of making the request itself.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from experts.catalog.prices import load_prices
from experts.catalog.spec import load_catalog
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Candidate, Reason, RouteDecision
from serve.costs.ledger import open_ledger
from serve.request import ChatRequest
from serve.settings.tree import CostSettings
from serve.telemetry.language import LANGUAGES
from serve.telemetry.logs import set_up_logging
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import page
from serve.telemetry.observers.ledger import LedgerObserver
from serve.telemetry.observers.log import LogObserver
from serve.telemetry.observers.metrics import MetricsObserver
from serve.telemetry.observers.tracing import TraceObserver
from serve.telemetry.recent_decisions import Recent
from serve.telemetry.recorder import Recorder
from serve.telemetry.traffic import Traffic

_CHUNKS: Final = 52
_ROUNDS: Final = 3000
NAMES: Final = ("coder", "advisor", "researcher", "tool-caller", "generalist")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what metering costs."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.metering", description=main.__doc__)
    parser.add_argument("--total-us", type=float, help="the gateway's CPU a whole request, in microseconds")
    parser.add_argument("--total-stream-us", type=float, help="and of a stream of 52 messages")
    options = parser.parse_args(arguments)
    metrics, recorder = _parts()
    found = {}
    for name, is_stream, chunks, total in (
        ("whole", False, 1, options.total_us),
        ("stream", True, _CHUNKS, options.total_stream_us),
    ):
        with_log = _cpu_us(partial(_request, recorder, is_stream, chunks))
        bare = _cpu_us(partial(_make, is_stream, chunks))
        with_log -= bare
        logging.disable(logging.CRITICAL)
        without = _cpu_us(partial(_request, recorder, is_stream, chunks)) - bare
        logging.disable(logging.NOTSET)
        found[f"{name}_us"] = round(without, 1)
        found[f"{name}_with_log_us"] = round(with_log, 1)
        if total:
            found[f"{name}_share"] = round(without / total, 4)
    _fill(metrics)
    text = generate_latest(page(metrics.registry))
    found["series"] = sum(not line.startswith(b"#") for line in text.splitlines())
    found["scrape_ms"] = round(_cpu_us(lambda: generate_latest(page(metrics.registry)), 20) / 1e3, 2)
    print(json.dumps(found))
    return 0


def _parts() -> tuple[Metrics, Recorder]:
    set_up_logging("info")
    logging.getLogger().handlers[0].setStream(open(os.devnull, "w"))  # type: ignore[attr-defined]  # noqa: SIM115
    catalog = load_catalog()
    metrics = Metrics(CollectorRegistry())
    metrics.expect(catalog.names)
    ledger = open_ledger(catalog, load_prices(), CostSettings())
    metrics.money.show(ledger)
    traffic = Traffic(metrics.routing, {"coder": 0.5, "advisor": 0.5})
    observers = (MetricsObserver(metrics), LedgerObserver(ledger), traffic, Recent(), TraceObserver(), LogObserver())
    return metrics, Recorder(observers, ledger)


def _make(is_stream: bool, chunks: int) -> tuple[ChatRequest, RouteDecision, pb.GenerateChunk, pb.Completion]:
    """What a request brings with it whether it is watched or not."""
    now = time.monotonic()
    message = chat.Message(role=chat.ROLE_USER, content="Write a Python function that reverses a string, please.")
    talk = chat.Conversation(messages=[message])
    request = ChatRequest("id", "id", "http", "auto", talk, chat.Sampling(), is_stream, now, now + 60)
    decision = RouteDecision(tuple(Candidate(n, 0.5) for n in NAMES), Reason.CLASSIFIED, 0.9, "v", 0.0003)
    chunk = pb.GenerateChunk(text=" word", token_count=1, prompt_tokens=20)
    completion = pb.Completion(usage=chat.Usage(prompt_tokens=20, completion_tokens=chunks))
    return request, decision, chunk, completion


def _request(recorder: Recorder, is_stream: bool, chunks: int) -> None:
    request, decision, chunk, completion = _make(is_stream, chunks)
    with recorder.follow(request) as record:
        record.admitted(0.0)
        record.routed(decision)
        record.answered(decision, time.monotonic())
        for _ in range(chunks):
            record.tokens(chunk)
        record.completed(completion)


def _cpu_us(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """CPU microseconds a call: the best of three runs."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, (time.process_time() - began) / rounds)
    return best * 1e6


def _fill(metrics: Metrics) -> None:
    """Put every label to use, as an hour of everything would."""
    for expert in NAMES:
        for mode in ("stream", "unary"):
            for histogram in (metrics.requests.ttft, metrics.requests.duration, metrics.requests.inter_token):
                histogram.labels(expert, mode).observe(1)
            metrics.requests.per_output_token.labels(expert, mode).observe(1)
        metrics.routing.confidence.labels(expert).observe(0.5)
        metrics.experts.queued(expert, 0.5)
    for language in LANGUAGES:
        metrics.routing.languages.labels(language).inc()


if __name__ == "__main__":
    raise SystemExit(main())
