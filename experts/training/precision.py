"""In which numbers a CPU trains quicker: bfloat16, where it multiplies them at their proper speed, or float32.

AMX and Zen 4 multiply bfloat16 about twice as fast as float32. A Xeon with AVX-512's bf16 but without AMX does it at
half of float32's speed (82 against 145 GFLOP/s on one core of one). So a product of a layer's shape is timed once.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

import torch

_SHAPE: Final = (512, 576, 1536)  # tokens, in, out: a layer of SmolLM2-135M
_TRIES: Final = 5


@lru_cache(maxsize=1)
def quicker() -> torch.dtype:
    """Return the type to compute in; processor time is compared, which other work on the machine changes little."""
    return min((torch.bfloat16, torch.float32), key=_seconds)


def _seconds(dtype: torch.dtype) -> float:
    """Time one product, the quickest of a few."""
    tokens, width, out = _SHAPE
    states, weights = torch.ones(tokens, width, dtype=dtype), torch.ones(out, width, dtype=dtype)
    return min(_once(states, weights) for _ in range(_TRIES))


def _once(states: torch.Tensor, weights: torch.Tensor) -> float:
    began_s = time.process_time()
    torch.nn.functional.linear(states, weights)
    return time.process_time() - began_s
