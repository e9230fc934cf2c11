"""The static shapes of a compiled model: a graph runs only the shapes for which it was traced.

`experts.neuron.plan` and `export` compile for them, the manifest records them, the engine refuses what they do not
hold. They come from the catalogue entry, so nothing is stated twice: `max_batch_size` is the compiled batch,
`context_window` the KV cache's length, `max_prompt_tokens` the prompt bucket, `neuron_cores` the tensor parallel
degree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from experts.catalog.spec import ExpertSpec

Dtype = Literal["bfloat16", "float16", "float32"]
CORES = "neuron_cores"  # Ray's name of the resource
DTYPE_BYTES: dict[Dtype, int] = {"bfloat16": 2, "float16": 2, "float32": 4}


class NeuronOptions(BaseModel):
    """`engine_options` of an expert that runs on NeuronCores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str = Field(min_length=1)  # folder that experts.compile wrote: a path, or a URL fsspec opens (s3://)
    dtype: Dtype = "bfloat16"
    prefills_per_step: int = Field(default=1, ge=1)  # prompts encoded between two decode steps


class ShapesWrong(Exception):
    """A catalogue entry asks for shapes that cannot be compiled; the message names the field."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the graphs are traced for."""

    batch_size: int  # sequences of one decode step
    sequence_length: int  # tokens a sequence may grow to, prompt and answer
    prompt_bucket: int  # tokens a prompt is padded to; optimum-neuron 0.4.5 compiles exactly one
    cores: int  # tensor parallel degree
    dtype: Dtype = "bfloat16"


def shapes_of(spec: ExpertSpec) -> Shapes:
    """Read an expert's shapes off its catalogue entry.

    Raises:
        ShapesWrong: it names no whole number of cores, or a batch of one.
    """
    cores = spec.resources.custom.get(CORES, 0)
    if cores < 1 or cores != int(cores):
        raise ShapesWrong(f"expert {spec.name!r}: resources.custom.{CORES} must be a whole number of NeuronCores")
    if spec.max_batch_size < 2:
        raise ShapesWrong(
            f"expert {spec.name!r}: max_batch_size must be 2 or more: optimum-neuron compiles a batch of 1 without "
            "continuous batching"
        )
    options = NeuronOptions.model_validate(spec.engine_options)
    bucket = spec.max_prompt_tokens or spec.context_window
    return Shapes(spec.max_batch_size, spec.context_window, bucket, int(cores), options.dtype)
