"""What an expert's engine cannot do, as its catalogue entry tells.

The gateway asks before it routes, so that no request is sent to an expert that would refuse it: a prompt longer than
the compiled bucket, or a sampling setting that the engine does not support. It also counts padding. No engine is
imported here; the engines themselves refuse the same things.
"""

from __future__ import annotations

from typing import Final

from experts.catalog.spec import EngineName, ExpertSpec
from protos import chat_pb2

NOT_HONOURED: Final[dict[EngineName, tuple[str, ...]]] = {
    "openvino": (),
    "echo": (),
    "upstream": ("min_tokens", "ignore_eos"),  # not OpenAI's; its entry says what else its server does not honour
    # Sampling is compiled into the graph, whose only inputs are top-k, top-p and temperature.
    "neuron": ("seed", "frequency_penalty", "presence_penalty", "min_tokens", "ignore_eos"),
}


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


def _matters(name: str, asked: chat_pb2.Sampling, spec: ExpertSpec) -> bool:
    if not asked.HasField(name):  # type: ignore[arg-type]  # the stub lists the names as literals
        return False
    if name == "seed":
        return (asked.temperature if asked.HasField("temperature") else spec.sampling.temperature) > 0
    return bool(getattr(asked, name))
