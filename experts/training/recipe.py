"""How each expert is trained: its samples, method and hyper-parameters, in one place.

LoRA (Hu et al. 2021) on every linear layer: of rank 4, 1.2 M parameters of SmolLM2-135M, 2.4 MB in bfloat16; four times
that of rank 16. The shipped adapters are made with these values; the command line may override what it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from experts.training.recipes import advisor, coder, generalist, researcher, tool_caller
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
    frozen_layers: int = 0  # whose adapters stay as they are: the lowest ones, which no gradient has to reach
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One expert's: `samples(data, seed)` builds what it learns from; `data` may be missing."""

    samples: Callable[[Path | None, int], list[Sample]]
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)


class NoRecipe(Exception):
    """Nothing says what an expert learns from; the message says what can be done about it."""

    def __init__(self, expert: str) -> None:
        super().__init__(
            f"{expert}: there is no recipe to train it by. It can serve as it is, without an adapter. To use a LoRA "
            "adapter that you have, name its folder as `adapter` in the catalogue. To train one here, write a module "
            "beside those in experts/training/recipes/ and add it to RECIPES in experts/training/recipe.py, which has "
            f"{', '.join(sorted(RECIPES))}"
        )


_WIDER: Final = Hyperparameters(batch_size=4, learning_rate=6e-4, rank=16, alpha=32, longest=900, frozen_layers=12)
"""For what is learnt from many sources."""

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "tool-caller": Recipe(tool_caller.samples, _WIDER),
        "researcher": Recipe(researcher.samples, _WIDER),
        "generalist": Recipe(generalist.samples, Hyperparameters(learning_rate=6e-4, rank=8, frozen_layers=12)),
        "coder": Recipe(coder.samples, Hyperparameters(epochs=3)),
        "advisor": Recipe(advisor.samples, Hyperparameters(method="orpo", batch_size=4, learning_rate=5e-4)),
    }
)
"""Every shipped expert's; which adapters ship is what held-out rows say (docs/results.md)."""
