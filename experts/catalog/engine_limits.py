"""What an expert's engine cannot do, as its catalogue entry tells.

The gateway asks before it routes, so that no request is sent to an expert that would refuse it: a prompt longer than
the compiled bucket, or a sampling setting that the engine does not support. It also counts padding. No engine is
imported here; the engines themselves refuse the same things.
"""

from __future__ import annotations

from typing import Final

from experts.catalog.spec import EngineName, ExpertSpec
from protos import chat_pb2

_OF_LOGITS: Final = ("logprobs", "top_logprobs", "logit_bias")
NOT_HONOURED: Final[dict[EngineName, tuple[str, ...]]] = {
    "openvino": ("top_logprobs", "logit_bias"),  # its sampler tells the chosen token's alone, and takes no bias
    "echo": ("top_logprobs", "logit_bias"),
    "upstream": ("min_tokens", "ignore_eos"),  # not OpenAI's; its entry says what else its server does not honour
    # Sampling is compiled into the graph, whose only inputs are top-k, top-p and temperature.
    "neuron": ("seed", "frequency_penalty", "presence_penalty", "min_tokens", "ignore_eos", *_OF_LOGITS),
}
PROMISES: Final = ("min_tokens", "ignore_eos", *_OF_LOGITS)
"""Settings without which the answer is not the one that was asked for: who does not honour one is not asked at all."""


def refused_settings(spec: ExpertSpec, asked: chat_pb2.Sampling) -> tuple[str, ...]:
    """Name the settings of a request that would change its answer and that this expert does not honour.

    A penalty of 0 and the seed of a greedy answer change nothing, so they are no reason to go elsewhere.
    """
    return tuple(name for name in not_honoured(spec) if _matters(name, asked, spec))


def not_honoured(spec: ExpertSpec) -> tuple[str, ...]:
    """Name the sampling settings that make no difference to this expert."""
    return NOT_HONOURED[spec.engine] + spec.not_honoured


def prompt_bucket(spec: ExpertSpec) -> int:
    """Return the tokens that this expert's engine pads every prompt to; 0 where it does not pad."""
    return (spec.max_prompt_tokens or spec.context_window) if spec.engine == "neuron" else 0


def is_set(name: str, asked: chat_pb2.Sampling) -> bool:
    """Say whether a request sets this setting, to whatever value."""
    if name == "logit_bias":
        return bool(asked.logit_bias)
    return asked.HasField(name)  # type: ignore[arg-type]  # the stub lists the names as literals


def _matters(name: str, asked: chat_pb2.Sampling, spec: ExpertSpec) -> bool:
    if not is_set(name, asked):
        return False
    if name == "seed":
        return (asked.temperature if asked.HasField("temperature") else spec.sampling.temperature) > 0
    return bool(getattr(asked, name))
