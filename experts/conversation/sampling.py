"""A request's sampling settings, checked and completed with the expert's defaults.

Called by `experts.cluster.deployment` for every request. The gateway has checked the same ranges before; an expert may
be called without it, and an engine must never see a value it cannot use.
"""

from __future__ import annotations

import math

from experts.catalog.engine_limits import PROMISES, not_honoured, refused_settings
from experts.catalog.spec import ExpertSpec
from experts.conversation.request_limits import (
    MAX_BIAS,
    MAX_BIASED_TOKENS,
    MAX_STOP_CHARS,
    MAX_STOPS,
    MAX_TOP_LOGPROBS,
)
from experts.engine import InvalidRequest, Sampling
from protos import chat_pb2


def resolve_sampling(asked: chat_pb2.Sampling, spec: ExpertSpec, *, is_exact: bool = False) -> Sampling:
    """Complete and check what the client asked for.

    With `is_exact` the answer is held to a form: unless the client gives a temperature, the likeliest values are taken,
    since a value that was drawn by lot is a wrong one.

    Raises:
        InvalidRequest: a value is out of its range, or the engine cannot honour what the answer depends on.
    """
    for name in refused_settings(spec, asked):
        if name in PROMISES:
            raise InvalidRequest(f"this expert does not honour {name}")
    defaults = spec.sampling
    max_tokens = asked.max_tokens if asked.HasField("max_tokens") else defaults.max_tokens
    if max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1")
    return Sampling(
        max_tokens=min(max_tokens, spec.max_tokens_cap or max_tokens),
        temperature=_in_range(asked, "temperature", 0.0 if is_exact else defaults.temperature, 0, 2),
        top_p=_top_p(asked, defaults.top_p),
        seed=asked.seed if asked.HasField("seed") else None,
        stop=_stops(asked),
        frequency_penalty=_in_range(asked, "frequency_penalty", _frequency_penalty(spec), -2, 2),
        presence_penalty=_in_range(asked, "presence_penalty", 0.0, -2, 2),
        min_tokens=min(asked.min_tokens, max_tokens),
        ignore_eos=asked.ignore_eos and not is_exact,  # a form has an end
        logprobs=asked.logprobs,
        top_logprobs=_top_logprobs(asked) if asked.logprobs else 0,
        logit_bias=_logit_bias(asked),
    )


def _frequency_penalty(spec: ExpertSpec) -> float:
    """Return the expert's own, unless its engine honours none."""
    return 0.0 if "frequency_penalty" in not_honoured(spec) else spec.sampling.frequency_penalty


def _in_range(asked: chat_pb2.Sampling, field: str, default: float, low: float, high: float) -> float:
    if not asked.HasField(field):  # type: ignore[arg-type]  # the stub lists the names as literals
        return default
    value: float = getattr(asked, field)
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidRequest(f"{field} must be between {low} and {high}")
    return value


def _top_p(asked: chat_pb2.Sampling, default: float) -> float:
    value = _in_range(asked, "top_p", default, 0, 1)
    if value == 0:
        raise InvalidRequest("top_p must be above 0")
    return value


def _top_logprobs(asked: chat_pb2.Sampling) -> int:
    if asked.top_logprobs > MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs is at most {MAX_TOP_LOGPROBS}")
    return asked.top_logprobs


def _logit_bias(asked: chat_pb2.Sampling) -> tuple[tuple[int, float], ...]:
    bias = tuple(sorted(asked.logit_bias.items()))
    if len(bias) > MAX_BIASED_TOKENS:
        raise InvalidRequest(f"logit_bias names at most {MAX_BIASED_TOKENS} tokens")
    if not all(abs(value) <= MAX_BIAS for _, value in bias):  # NaN is not, either
        raise InvalidRequest(f"logit_bias must be between {-MAX_BIAS:g} and {MAX_BIAS:g}")
    return bias


def _stops(asked: chat_pb2.Sampling) -> tuple[str, ...]:
    if len(asked.stop) > MAX_STOPS:
        raise InvalidRequest(f"at most {MAX_STOPS} stop strings are allowed")
    if not all(asked.stop):
        raise InvalidRequest("a stop string must not be empty")
    if any(len(stop) > MAX_STOP_CHARS for stop in asked.stop):
        raise InvalidRequest(f"a stop string has at most {MAX_STOP_CHARS} characters")
    return tuple(asked.stop)
