"""Which samples a run takes when the tokens that it may compute are bounded: the given rows first.

What an expert has learnt before is forgotten where it is trained on new rows alone, so a part of what is computed is
the recipe's own samples (rehearsal; Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"). A run
without a bound takes everything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experts.training.encode import Encoded, Encoder
    from experts.training.run import Run


class TooSmall(Exception):
    """The bound leaves nothing to learn from; the message says what can be done."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may compute.

    Attributes:
        tokens: in all epochs together, before samples share their beginnings.
        rehearsal: the share of it that the recipe's own samples may have, 0 to below 1.
    """

    tokens: int
    rehearsal: float


def choose(run: Run, encoder: Encoder) -> tuple[list[Encoded], str]:
    """Encode what the run learns from, within its budget; the second part says what was left out, in words.

    Raises:
        TooSmall: not one sample fits.
    """
    recipe, rows = encoder.encode_all(run.samples), encoder.encode_all(run.rows)
    too_long = len(run.samples) + len(run.rows) - len(recipe) - len(rows)
    said = f"{too_long} too long and left out"
    if run.budget is None:
        return recipe, said
    hyperparameters = run.hyperparameters
    chosen, of_rows = within(run.budget, rows, recipe, hyperparameters.epochs, hyperparameters.seed)
    if not chosen:
        raise TooSmall(
            f"{run.budget.tokens} tokens in {hyperparameters.epochs:g} epochs: no sample fits; give --tokens more"
        )
    of_recipe = len(chosen) - of_rows
    return chosen, f"{said}; {of_rows} of {len(rows)} rows, {of_recipe} of {len(recipe)} samples of the recipe"


def within(
    budget: Budget, rows: Sequence[Encoded], recipe: Sequence[Encoded], epochs: float, seed: int
) -> tuple[list[Encoded], int]:
    """Draw what fits, by the seed: rows until their part is used up, and the recipe's samples in proportion to them.

    Where all rows fit, an epoch is smaller than it might be: rehearsal never has more than its share. Without rows the
    recipe's samples have everything. Returns the samples, rows last, and how many of them are rows.
    """
    an_epoch = budget.tokens / epochs
    draw = random.Random(f"budget {seed}")
    chosen = _drawn(rows, an_epoch * (1 - budget.rehearsal), draw)
    taken = sum(map(tokens_of, chosen))
    left = taken * budget.rehearsal / (1 - budget.rehearsal) if rows else an_epoch
    return [*_drawn(recipe, left, draw), *chosen], len(chosen)


def tokens_of(sample: Encoded) -> int:
    """Count the tokens that are computed for a sample: its prompt once for each of its answers."""
    rejected = len(sample.prompt) + len(sample.rejected) if sample.rejected else 0
    return len(sample.prompt) + len(sample.answer) + rejected


def _drawn(samples: Sequence[Encoded], tokens: float, draw: random.Random) -> list[Encoded]:
    """Draw samples until one would be too much, and keep their order."""
    taken: list[int] = []
    for place in draw.sample(range(len(samples)), len(samples)):
        tokens -= tokens_of(samples[place])
        if tokens < 0:
            break
        taken.append(place)
    return [samples[place] for place in sorted(taken)]
