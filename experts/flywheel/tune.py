"""The command that tunes an expert on a curated set: the recipe that made its adapter, and the set's rows beside.

Training runs in a process of its own: it needs torch, which what serves does not have, and memory that it gives back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from experts.flywheel.frozen import FrozenSet

TOKENS: Final = 200_000
"""A quarter of an hour of one core, for a model of 135 M parameters."""


class CannotTune(Exception):
    """An expert cannot be trained here; the message says what can be done about it."""


def tuned_folder(folder: Path, expert: str, curated: FrozenSet) -> Path:
    """Where a candidate's adapter is, or will be."""
    return folder / expert / curated.folder.name / "adapter"


def is_tuned(adapter: Path) -> bool:
    """Whether it is there, whole: its ledger comes last."""
    return (adapter / "ledger.json").is_file()


def tune_command(
    python: str,
    expert: str,
    curated: FrozenSet,
    start: str | None,
    folder: Path,
    tokens: int | None = TOKENS,
    more: Sequence[str] = (),
) -> list[str]:
    """Return the command line.

    Args:
        python: an interpreter with the [train] extra.
        expert: whose recipe.
        curated: what it is to learn beside the recipe's own samples.
        start: the adapter to go on from, a folder or `moegate:NAME`; None = from the base.
        folder: where the run and the adapter go, by the set's digest.
        tokens: how many may be computed in all, the set's rows first; None = as many as there are.
        more: what else `experts.finetune` is told.

    Raises:
        CannotTune: nothing says how the expert is trained.
    """
    from experts.training.recipe import RECIPES, NoRecipe  # noqa: PLC0415  # recipes need what serving does not have

    recipe = RECIPES.get(expert)
    if recipe is None:
        raise CannotTune(str(NoRecipe(expert)))
    rows = "pairs" if recipe.hyperparameters.method == "orpo" else "train"
    place = folder / expert / curated.folder.name
    begun = [] if start is None else ["--from", start]
    files = [
        "--rows",
        str(curated.folder / f"{rows}.jsonl"),
        "--run",
        str(place / "run"),
        "--output",
        str(tuned_folder(folder, expert, curated)),
    ]
    bound = [] if tokens is None else ["--tokens", str(tokens)]
    return [python, "-m", "experts.finetune", expert, *files, *begun, *bound, *more]
