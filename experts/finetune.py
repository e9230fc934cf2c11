"""Fine-tunes an expert: `python -m experts.finetune EXPERT [--data DIR] [--method sft|orpo] [--device cpu|neuron]`.

Builds the expert's samples, trains a LoRA adapter on its base, and writes the adapter and a cost ledger. The same
command continues a stopped run from its last checkpoint. `experts.compile` merges the adapter afterwards. Ctrl-C
finishes the step, keeps a checkpoint and says how to continue. Needs the [train] extra.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.store import default_root
from experts.catalog.spec import CatalogError, adapter_folder, load_catalog
from experts.commands.messages import INTERRUPTED, complain
from experts.commands.outputs import NotOurs, claim, claim_all, json_with, nothing, write
from experts.evaluation.suites.rows import RowError, read_rows, sample
from experts.training.budget import Budget, TooSmall
from experts.training.recipe import RECIPES, Hyperparameters, NoRecipe, Recipe
from experts.training.recipes.sample import BadSample, Sample, read_seed
from experts.training.run import Run
from experts.training.run_folder import ADAPTER, ADAPTER_FILES, OtherRun, Stopped, claim_run
from experts.training.training_cost import Ledger, Prices

REHEARSAL: Final = 0.25
FAILURES = (CatalogError, NoRecipe, BaseUnavailable, RowError, BadSample, TooSmall, NotOurs, OtherRun, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the expert named on the command line; return the exit status."""
    options = _parse(arguments)
    console = Console(stderr=True)
    try:
        if options.output:
            _claim_output(options.output)
        run = _plan(options)
        if options.device == "neuron":
            from experts.training.neuron import train  # noqa: PLC0415  # where the Neuron SDK is
        else:
            from experts.training.cpu import train  # noqa: PLC0415  # torch takes seconds to import
        ledger = train(run, _prices(options), console)
        _deliver(run, options.output, ledger)
    except FAILURES as error:
        complain(error)
        return 1
    except ImportError as error:
        complain(f"{error.name} is missing; install what training needs: pip install 'moegate[train]'")
        return 1
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print(
            "stopped at once; what was done since the last checkpoint is lost. The same command goes on from there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    console.print(ledger.table())
    print(options.output or run.folder / ADAPTER)
    return 0


def _plan(options: argparse.Namespace) -> Run:
    catalog = load_catalog(options.catalog)
    spec = catalog.get(options.expert)
    if spec is None:
        raise CatalogError(f"no such expert: {options.expert}; the catalogue has {', '.join(catalog.names)}")
    recipe = RECIPES.get(spec.name)
    if recipe is None:
        raise NoRecipe(spec.name)
    if options.base:
        spec = spec.model_copy(update={"base": options.base})
    hyperparameters = _hyperparameters(recipe, options)
    budget = None if options.tokens is None else Budget(options.tokens, options.rehearsal)
    own = _fit(recipe.samples(options.data, hyperparameters.seed), hyperparameters)
    rows = _fit(_read(options.rows), hyperparameters)
    if budget is None:
        own, rows = [*own, *rows], []
    samples = sample(own, options.limit, hyperparameters.seed)
    start = adapter_folder(options.start) if options.start else None
    if start and not (start / "adapter_model.safetensors").is_file():
        raise BaseUnavailable(f"{start} holds no adapter to start from")
    folder = options.run or default_root() / "finetune" / spec.name
    run = Run(spec, samples, hyperparameters, folder, start, rows, budget)
    claim_run(run.folder, run.digest, fresh=options.fresh)
    return run


def _fit(samples: Sequence[Sample], hyperparameters: Hyperparameters) -> list[Sample]:
    """Those that the method can learn from: ORPO needs pairs."""
    return [one for one in samples if hyperparameters.method == "sft" or one.rejected]


def _read(paths: Sequence[Path]) -> list[Sample]:
    return [read_seed(row) for path in paths for row in read_rows(path)]


def _hyperparameters(recipe: Recipe, options: argparse.Namespace) -> Hyperparameters:
    given = {
        name: getattr(options, name)
        for name in ("method", "epochs", "batch_size", "learning_rate", "rank", "frozen_layers", "seed")
    }
    return replace(recipe.hyperparameters, **{name: value for name, value in given.items() if value is not None})


def _claim_output(folder: Path) -> None:
    """See that the adapter may be put there: the folder holds no adapter, or one with a ledger of ours beside it.

    Raises:
        NotOurs: an adapter or its ledger is there and did not come from this command.
    """
    mark = ADAPTER_FILES[-1]
    claim(folder / mark, json_with("run", "tokens", "prices", "tokens_per_s"))
    if not (folder / mark).is_file():
        claim_all(folder, dict.fromkeys(ADAPTER_FILES[:-1], nothing))


def _deliver(run: Run, output: Path | None, ledger: Ledger) -> None:
    """Put the ledger beside the adapter, and both where they were asked for."""
    write(run.folder / ADAPTER / "ledger.json", ledger.to_json() + "\n")
    if output is not None:
        for name in ADAPTER_FILES:
            write(output / name, (run.folder / ADAPTER / name).read_bytes())


def _prices(options: argparse.Namespace) -> Prices:
    return Prices(options.usd_per_hour, options.price_source, options.instances)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.finetune", description="Fine-tune an expert.")
    parser.add_argument("expert", help=f"one of the catalogue that has a recipe, such as {', '.join(sorted(RECIPES))}")
    parser.add_argument("--data", type=Path, help="the folder with the recipe's data files (default: the seeds alone)")
    rows = "rows in the form of the recipes' seeds to learn from as well, such as a curated set's"
    parser.add_argument("--rows", nargs="+", type=Path, default=[], metavar="FILE", help=rows)
    parser.add_argument("--base", help="train on it instead of the entry's base")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="of N samples alone, drawn with the seed (with --tokens: N of the recipe's)",
    )
    bound = "compute N tokens at most, in all epochs: --rows first, the recipe's samples for the share of --rehearsal"
    parser.add_argument("--tokens", type=int, metavar="N", help=bound)
    parser.add_argument("--rehearsal", type=float, default=REHEARSAL, metavar="SHARE", help="default: %(default)s")
    parser.add_argument("--method", choices=["sft", "orpo"], help="default: the recipe's")
    parser.add_argument("--device", choices=["cpu", "neuron"], default="cpu")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--batch-size", type=int, help="samples a step")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--rank", type=int, help="of the LoRA matrices")
    parser.add_argument("--frozen-layers", type=int, metavar="N", help="the lowest N layers stay as they are")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--from", dest="start", metavar="ADAPTER", help="go on from it: a folder, or moegate:NAME")
    parser.add_argument("--run", type=Path, help="where checkpoints are kept (default: in the user's cache)")
    parser.add_argument("--output", type=Path, help="copy the adapter and its ledger here")
    parser.add_argument("--fresh", action="store_true", help="start anew, whatever checkpoints there are")
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    parser.add_argument("--usd-per-hour", type=float, default=0.0, help="price of an instance, for the ledger")
    parser.add_argument("--price-source", default="not given", help="where that price comes from")
    parser.add_argument("--instances", type=int, default=1)
    options = parser.parse_args(arguments)
    if not 0 <= options.rehearsal < 1:
        parser.error("--rehearsal must be 0 or more and below 1")
    for name in ("limit", "tokens", "epochs", "batch_size", "learning_rate", "rank", "instances"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if not 0 <= options.usd_per_hour < math.inf:
        parser.error("--usd-per-hour must be 0 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
