"""How much device memory a compiled Llama takes on each core, by arithmetic, and whether an instance holds it.

The count follows optimum-neuron 0.4.5's layout of a Llama (`LlamaNxDModelForCausalLM`, `KVCacheManager`,
`get_shardable_head_counts`): every matrix is split over the cores and padded until it divides, key and value heads are
repeated where they do not divide, tied embeddings are stored twice, and each batch slot has one cache row of the full
sequence length. Graphs, runtime and collectives have not been measured here. They are the stated share `RESERVED`, an
assumption to replace with what `neuron-top` shows on hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from experts.neuron.instances import GIB, Architecture, Instance
from experts.neuron.shapes import DTYPE_BYTES, Shapes

RESERVED = 0.10  # of each core's HBM
HOST_SPARE_GIB = 2.0  # for the operating system, Ray and Python while weights pass through the host
FLASH_FROM = 4096  # tokens; from here attention keeps no score matrix (get_flash_attention_strategy)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes one core holds."""

    weights: int
    cache: int  # keys and values
    scores: int  # one layer's attention scores while a prompt is encoded, in fp32

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.scores


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether one instance serves these shapes."""

    instance: str
    replicas: int  # that the instance's cores have room for
    problems: tuple[str, ...]  # empty: it fits

    @property
    def is_fit(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


def memory_per_core(model: Architecture, shapes: Shapes) -> Memory:
    """Count what each of `shapes.cores` cores holds."""
    heads, kv_heads = sharded_heads(model, shapes.cores)
    size, width = DTYPE_BYTES[shapes.dtype], model.hidden_size
    attention = 2 * (heads + kv_heads) // shapes.cores * model.head_size * width
    mlp = 3 * width * ceil(model.intermediate_size / shapes.cores)
    tables = ceil(width / shapes.cores) * model.vocab_size + ceil(model.vocab_size / shapes.cores) * width
    norms = (2 * model.num_hidden_layers + 1) * width  # on every core
    weights = ((attention + mlp) * model.num_hidden_layers + tables + norms) * size
    row = kv_heads // shapes.cores * shapes.sequence_length * model.head_size * 2 * model.num_hidden_layers
    scores = heads // shapes.cores * shapes.prompt_bucket**2 * 4 if shapes.prompt_bucket < FLASH_FROM else 0
    return Memory(weights, row * shapes.batch_size * size, scores)


def sharded_heads(model: Architecture, cores: int) -> tuple[int, int]:
    """Return query and key-value heads after padding and repeating, both divisible by `cores`.

    Source: optimum-neuron 0.4.5, `modules/attention/gqa.py::get_shardable_head_counts`.
    """
    heads, kv_heads = model.num_attention_heads, model.num_key_value_heads
    padded = ceil(heads / cores) * cores
    if heads == kv_heads:
        return padded, padded
    if kv_heads % cores == 0:
        return padded, kv_heads
    return padded, cores if cores % kv_heads == 0 else padded


def fit(name: str, instance: Instance, model: Architecture, shapes: Shapes) -> Fit:
    """Say whether an instance holds one replica, and how many it has cores for."""
    problems = []
    if shapes.cores > instance.cores:
        problems.append(f"needs {shapes.cores} cores, has {instance.cores}")
    needed, usable = memory_per_core(model, shapes).total, instance.hbm_per_core * (1 - RESERVED)
    if needed > usable:
        problems.append(f"needs {needed / GIB:.1f} GiB of HBM a core, {usable / GIB:.1f} are usable")
    host = model.parameters * DTYPE_BYTES[shapes.dtype] / GIB + HOST_SPARE_GIB
    if host > instance.host_gib:
        problems.append(f"loading holds {host:.1f} GiB on the host, which has {instance.host_gib:g}")
    return Fit(name, instance.cores // shapes.cores, tuple(problems))
