"""A result as `experts.evaluate --out` writes it, and the option that it makes."""

from __future__ import annotations

from typing import Any

from experts.evaluation.options import read_option
from tests.experts.entries import expert_spec

SPEC = expert_spec(name="coder", context_window=100)
RESULT: dict[str, Any] = {
    "expert": "coder",
    "suite": "code",
    "n": 100,
    "scores": {"pass@1": {"value": 0.3, "ci95": [0.2, 0.4], "n": 100}, "one_block": {"value": 1.0, "ci95": [0.9, 1]}},
    "variant": "base",
    "data": {"file": "mbpp.jsonl", "rows": 500, "seed": 0},
    "artifact": {"sha256": "0", "bytes": 145_000_000},
    "measured": {"prompt_tokens": 200.0, "completion_tokens": 100.0, "alone": {"ttft_ms": 20.0, "tokens_per_s": 120.0}},
}
BASE = read_option(RESULT, SPEC, "here")
