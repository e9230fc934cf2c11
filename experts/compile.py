"""Prepares experts ahead of their start: `python -m experts.compile EXPERT... --target cpu`.

`experts.compilation.prepare` says what is made. A second run does nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from experts.artifacts.store import Artifact, ArtifactStore, default_root
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, load_catalog
from experts.commands.messages import INTERRUPTED, complain
from experts.compilation.neuron import command as neuron
from experts.compilation.prepare import FAILURES, Target, prepare_expert


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the experts named on the command line; return the exit status."""
    options = _parse(arguments)
    console = Console(stderr=True)
    try:
        catalog = load_catalog(options.catalog)
        names = catalog.names if options.all else options.experts
        specs = [spec for spec in _select(catalog, names) if spec.has_weights]
        if options.target == "neuron":
            return neuron.run(specs, options, console)
        prepared = _prepare_all(specs, options.target, options.verify, console)
    except (*FAILURES, *neuron.FAILURES) as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("stopped; what was finished is kept")
        return INTERRUPTED
    for name, artifact in prepared.items():
        print(f"{name}\t{options.target}\t{artifact.sha256}\t{artifact.path}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.compile", description="Merge and compile experts.")
    parser.add_argument("experts", nargs="*", metavar="EXPERT", help="names out of the catalogue")
    parser.add_argument("--all", action="store_true", help="every expert of the catalogue")
    parser.add_argument("--target", choices=["cpu", "neuron"], required=True)
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    parser.add_argument("--verify", action="store_true", help="read and hash cached files, not only look at their size")
    neuron.add_neuron_arguments(parser)
    options = parser.parse_args(arguments)
    if bool(options.experts) == options.all:
        parser.error("name experts, or say --all")
    return options


def _select(catalog: Catalog, names: Sequence[str]) -> list[ExpertSpec]:
    chosen = {name: catalog.get(name) for name in names}
    unknown = [name for name, spec in chosen.items() if spec is None]
    if unknown:
        raise CatalogError(f"no such expert: {', '.join(unknown)}; there are {', '.join(catalog.names)}")
    return [spec for spec in chosen.values() if spec is not None]


def _prepare_all(specs: Sequence[ExpertSpec], target: Target, verify: bool, console: Console) -> dict[str, Artifact]:
    store = ArtifactStore(default_root(), verify=verify)
    prepared = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for spec in specs:
            task = progress.add_task(f"{spec.name}: {spec.base}", total=1)
            prepared[spec.name] = prepare_expert(spec, target, store)
            progress.advance(task)
    return prepared


if __name__ == "__main__":
    sys.exit(main())
