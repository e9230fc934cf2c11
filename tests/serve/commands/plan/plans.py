"""A small plan that tests change: one engine, one expert, a request a second; and a curve as one is measured."""

from pathlib import Path
from typing import Any

from serve.commands.plan.description import Plan

ROOT = Path(__file__).resolve().parents[4]


FIXED = {"median": 50, "sigma": 0}


ENGINE: dict[str, Any] = {
    "slots": 4,
    "queue": 1_000_000,
    "step_ms": {1: 10},
    "prefill_ms_per_token": 0,
    "instance": "inf2.xlarge",
    "cores": 2,
    "source": "made up",
}


CURVE = {
    "step_ms": {"1": 10, "16": 20},
    "prefill_ms": 10,
    "prefill_ms_per_token": 0.2,
    "latency_ms": 8,
    "chunk_tokens": 256,
    "slots": 16,
    "source": "made up",
}


def plan(engine: dict[str, Any] | None = None, expert: dict[str, Any] | None = None, **more: Any) -> Plan:
    content = {
        "engines": {"e": ENGINE | (engine or {})},
        "experts": {"only": {"engine": "e", "share": 1, "prompt": FIXED, "answer": FIXED} | (expert or {})},
        "traffic": {"requests_per_s": 1, "hours": 1},
    }
    return Plan.model_validate(content | more)
