"""How each expert is trained: its samples, method and hyper-parameters, in one place.

LoRA (Hu et al. 2021) of rank 4 on every linear layer: 1.2 M parameters of SmolLM2-135M, 2.4 MB in bfloat16. The shipped
adapters are made with these values; the command line may override what it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from experts.training.recipes import advisor, coder, researcher, tool_caller
from experts.training.recipes.sample import Sample

Method = Literal["sft", "orpo"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a run is made with; a resumed run must have the same."""

    method: Method = "sft"
    epochs: float = 1.0
    batch_size: int = 8  # samples
    learning_rate: float = 1e-3  # the highest, after the warm-up; falls to zero along a cosine
    warmup: float = 0.05  # share of the steps
    weight_decay: float = 0.0
    rank: int = 4
    alpha: int = 16
    dropout: float = 0.0
    longest: int = 1024  # tokens of prompt and answer; longer samples are left out
    strength: float = 0.25  # ORPO's lambda
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One expert's: `samples(data, seed)` builds what it learns from; `data` may be missing."""

    samples: Callable[[Path | None, int], list[Sample]]
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "tool-caller": Recipe(tool_caller.samples),
        "researcher": Recipe(researcher.samples),
        "coder": Recipe(coder.samples, Hyperparameters(epochs=3)),
        "advisor": Recipe(advisor.samples, Hyperparameters(method="orpo", batch_size=4, learning_rate=5e-4)),
    }
)
"""The specialists; the generalist is the untouched base and has none."""
