"""Puts all experts on another Llama: `python -m experts.rebase --base hf:... | PATH --out DIR [--compare] [--plan]`.

Trains every recipe on the base, writes a catalogue of the results, compiles them, evaluates them on the rows that are
named, and (`--compare`) evaluates the present experts on the same rows and puts both side by side. Each step's result
is a file under DIR, so a stopped run goes on where it was. `--plan` prints what it takes on Trainium, and stops.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from experts import compile as compiling
from experts import evaluate, finetune
from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, default_path, load_catalog
from experts.catalog.yaml_file import read_yaml
from experts.commands.messages import INTERRUPTED, complain
from experts.commands.outputs import IsOurs, NotOurs, claim_all, json_with, text_with, write
from experts.compilation.gguf_from_folder import CannotConvert, is_model_folder, read_config
from experts.evaluation.options import ResultError, read_option
from experts.evaluation.rebase_report import NEW, OLD, TITLE, as_json, as_markdown
from experts.evaluation.suites.known import SUITES, named_rows
from experts.evaluation.suites.rows import RowError
from experts.neuron.instances import InstancesError, load_instances
from experts.training.rebase_plan import make_plan, show_plan
from experts.training.recipe import RECIPES
from experts.training.recipes.sample import BadSample

FAILURES = (
    CatalogError,
    BaseUnavailable,
    CannotConvert,
    InstancesError,
    ResultError,
    RowError,
    BadSample,
    NotOurs,
    OSError,
)
STATE = "rebase.json"
CATALOGUE = "experts.yaml"
CATALOGUE_HEADER = "# Made by `python -m experts.rebase`: the experts on another base."
OUTPUTS: Final[dict[str, IsOurs]] = {
    STATE: json_with("base", "data", "epochs", "samples"),
    CATALOGUE: text_with(CATALOGUE_HEADER),
    "comparison.md": text_with(TITLE),
    "comparison.json": json_with("base", "rebased"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """What an expert is evaluated on."""

    expert: str
    suite: str
    file: Path


class Stopped(Exception):
    """A step failed or was stopped, and has said why; carries its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebase; return the exit status."""
    options = _parse(arguments)
    try:
        catalog = load_catalog(options.catalog)
        experts = _experts(options, catalog)
        if options.plan:
            return plan(options, experts)
        run(options, catalog, experts)
    except FAILURES as error:
        complain(error)
        return 1
    except Stopped as stopped:
        complain("the same command goes on from here")
        return stopped.status
    except KeyboardInterrupt:
        complain("stopped; the same command goes on from here")
        return INTERRUPTED
    return 0


def plan(options: argparse.Namespace, experts: Sequence[ExpertSpec]) -> int:
    """Print what it takes on Trainium."""
    chosen = {}
    for spec in experts:
        recipe = RECIPES[spec.name]
        chosen[spec.name] = (spec, recipe.samples(options.data, recipe.hyperparameters.seed), recipe.hyperparameters)
    made = make_plan(options.base, chosen, load_instances(), options.nodes, options.bucket, options.tokens_per_s)
    if options.json:
        print(json.dumps(made.as_dict()))
    else:
        show_plan(made, Console())
    return 0


def run(options: argparse.Namespace, catalog: Catalog, experts: Sequence[ExpertSpec]) -> None:
    """Do every step that is not done yet.

    Raises:
        Stopped: a step failed.
        NotOurs: the folder holds another run.
    """
    out: Path = options.out
    claim_state(options)
    layers = depth(options.base)
    for spec in experts:
        if not (out / "adapters" / spec.name / "ledger.json").is_file():
            step(f"train {spec.name}", finetune.main, training(spec, options, layers, depth(spec.base)))
    write(out / CATALOGUE, rebased_catalogue(options, [spec.name for spec in experts]))
    names = [spec.name for spec in experts]
    step("compile", compiling.main, [*names, "--target", "cpu", "--catalog", str(out / CATALOGUE)])
    for rows in options.rows:
        step(f"evaluate {rows.expert}", *evaluation(rows, NEW, out / CATALOGUE, options))
        if options.compare:
            step(
                f"evaluate {rows.expert}, as it is", *evaluation(rows, OLD, options.catalog or default_path(), options)
            )
    report(options, catalog)


def step(title: str, command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    """Run one step; nothing to do is no arguments.

    Raises:
        Stopped: it did not succeed.
    """
    if not arguments:
        return
    print(f"== {title}", file=sys.stderr)
    if status := command(arguments):
        raise Stopped(status)


def training(spec: ExpertSpec, options: argparse.Namespace, layers: int, known_layers: int) -> list[str]:
    """Return the arguments of `experts.finetune`; the share of frozen layers is the recipe's."""
    frozen = round(RECIPES[spec.name].hyperparameters.frozen_layers * layers / known_layers)
    asked = [spec.name, "--base", options.base, "--frozen-layers", str(frozen)]
    asked += ["--run", str(options.out / "runs" / spec.name), "--output", str(options.out / "adapters" / spec.name)]
    given = {
        "--data": options.data,
        "--catalog": options.catalog,
        "--epochs": options.epochs,
        "--limit": options.samples,
    }
    return asked + [part for name, value in given.items() if value is not None for part in (name, str(value))]


def evaluation(
    rows: Rows, variant: str, catalogue: Path, options: argparse.Namespace
) -> tuple[Callable[[Sequence[str]], int], list[str]]:
    """Return the command and the arguments of one evaluation; none where its result is there."""
    result = result_file(options.out, rows, variant)
    if result.is_file():
        return evaluate.main, []
    asked = [rows.expert, "--suite", rows.suite, "--data", str(rows.file), "--catalog", str(catalogue)]
    asked += ["--variant", variant, "--out", str(result)]
    return evaluate.main, asked + (["--limit", str(options.limit)] if options.limit else [])


def result_file(out: Path, rows: Rows, variant: str) -> Path:
    """Name the file of one result."""
    return out / "results" / f"{rows.expert}-{rows.suite}-{rows.file.name.partition('.')[0]}-{variant}.json"


def report(options: argparse.Namespace, catalog: Catalog) -> None:
    """Put old and new side by side, as far as they are there."""
    specs = {OLD: catalog, NEW: load_catalog(options.out / CATALOGUE)}
    found = []
    for rows in options.rows:
        for variant, of in specs.items():
            file, spec = result_file(options.out, rows, variant), of.get(rows.expert)
            if file.is_file() and spec is not None:
                found.append(read_option(json.loads(file.read_text("utf-8")), spec, str(file)))
    table = as_markdown(options.base, found)
    write(options.out / "comparison.md", table)
    write(options.out / "comparison.json", json.dumps(as_json(options.base, found), indent=1) + "\n")
    Console().print(table, markup=False, highlight=False, soft_wrap=True)
    if options.json:
        print(json.dumps(as_json(options.base, found)))


def claim_state(options: argparse.Namespace) -> None:
    """See that the folder holds nothing of anybody else's, and no other run.

    Raises:
        NotOurs: it holds another.
    """
    claim_all(options.out, OUTPUTS)
    path = options.out / STATE
    asked = {name: str(getattr(options, name)) for name in ("base", "data", "epochs", "samples", "catalog")}
    if path.is_file() and json.loads(path.read_text("utf-8")) != asked:
        raise NotOurs(f"{options.out}: holds a run with another base, data or hyper-parameters; name another --out")
    write(path, json.dumps(asked, indent=1) + "\n")


def depth(base: str) -> int:
    """Count a base's layers.

    Raises:
        BaseUnavailable: it cannot be had.
        CannotConvert: it is no Llama, or one that the CPU engine does not compute.
    """
    path = resolve_base(base, ArtifactStore(default_root())).path
    if is_model_folder(path):
        return int(read_config(path)["num_hidden_layers"])
    if path.suffix != ".gguf":
        raise BaseUnavailable(f"base {base!r}: is no GGUF file and no folder of a Llama")
    import gguf  # noqa: PLC0415  # the [train] and [cpu] extras'

    fields = gguf.GGUFReader(path).fields
    return int(fields[f"{fields['general.architecture'].contents()}.block_count"].contents())


def rebased_catalogue(options: argparse.Namespace, names: Sequence[str]) -> str:
    """Return the catalogue's YAML with the base and the new adapters; experts without a recipe stay as they are."""
    content: dict[str, Any] = read_yaml(options.catalog or default_path()).content
    for entry in content["experts"]:
        if entry["name"] in names:
            entry["base"] = options.base
            entry["adapter"] = str((options.out / "adapters" / entry["name"]).resolve())
            entry["licence"] = options.licence
    return f"{CATALOGUE_HEADER}\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}"


def _experts(options: argparse.Namespace, catalog: Catalog) -> list[ExpertSpec]:
    known = [spec.name for spec in catalog.experts if spec.name in RECIPES]
    asked = options.experts.split(",") if options.experts else known
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise CatalogError(f"no recipe trains an expert {unknown[0]!r} of the catalogue; there are {', '.join(known)}")
    return [spec for spec in catalog.experts if spec.name in asked]


def _rows(text: str) -> Rows:
    return Rows(*named_rows(text, "EXPERT", SUITES))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.rebase", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", required=True, help="hf:ORGANISATION/MODEL, a folder of safetensors, or a GGUF file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where adapters, catalogue and results go")
    parser.add_argument("--data", type=Path, help="the folder with the recipes' data (default: the seeds alone)")
    parser.add_argument("--experts", metavar="A,B", help="only these (default: all that have a recipe)")
    parser.add_argument(
        "--rows", type=_rows, action="append", default=[], metavar="EXPERT=SUITE:FILE", help="to evaluate"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="evaluate N rows of each file")
    parser.add_argument("--compare", action="store_true", help="evaluate the present experts on the same rows, too")
    parser.add_argument("--epochs", type=float, help="default: each recipe's")
    parser.add_argument("--samples", type=int, metavar="N", help="train on N samples an expert: to try it out")
    parser.add_argument("--licence", default="the base's own", help="of the base, for the catalogue")
    parser.add_argument("--catalog", type=Path, help="the catalogue to rebase (default: the shipped one)")
    parser.add_argument("--plan", action="store_true", help="print nodes, hours, USD and files on Trainium; do nothing")
    parser.add_argument("--nodes", type=int, default=1, help="with --plan: instances of a training")
    parser.add_argument("--bucket", default="s3://YOUR-BUCKET/moegate", help="with --plan: where things are kept")
    parser.add_argument("--tokens-per-s", type=float, help="with --plan: measured, of all nodes")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    if not options.plan and options.out is None:
        parser.error("say --out, or --plan")
    if options.nodes < 1 or (options.tokens_per_s is not None and options.tokens_per_s <= 0):
        parser.error("--nodes and --tokens-per-s must be above 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
