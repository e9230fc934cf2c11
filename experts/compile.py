"""Turns a catalogue entry into the artefact that an engine loads: `python -m experts.compile EXPERT... --target cpu`.

The start code calls `prepare_expert` before it deploys, so that replicas only load. A second run does nothing. On `cpu`
an expert is its base's GGUF file with its adapter merged into it, in a form that OpenVINO does not change; a base that
is a folder of safetensors becomes such a file first.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.store import Artifact, ArtifactCorrupt, ArtifactStore, default_root, hash_content
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, load_catalog
from experts.commands.messages import INTERRUPTED, complain
from experts.compilation.gguf_from_folder import is_model_folder, write_gguf
from experts.compilation.merge import merge, read_adapter
from experts.compilation.neuron import command as neuron
from experts.compilation.neuron.store import StoreUnavailable, fetch
from experts.compilation.requantise import make_faithful
from experts.neuron.manifest import ManifestMismatch
from experts.neuron.shapes import NeuronOptions
from experts.catalog.remote import RemoteError
from experts.artifacts.weights import local_adapter

Target = Literal["cpu", "neuron"]
OPENVINO_MODEL = "openvino_model.xml"  # of a folder in OpenVINO's own form
FAILURES = (CatalogError, BaseUnavailable, ArtifactCorrupt)


class CannotCompile(BaseUnavailable):
    """This expert cannot be made for this target; the message says why."""


def prepare_expert(spec: ExpertSpec, target: Target, store: ArtifactStore) -> Artifact:
    """Return the artefact that an engine of `target` loads for this expert, making it if need be.

    Raises:
        CannotCompile: the expert or the target needs a step that does not exist.
        BaseUnavailable: its base cannot be had.
        ArtifactCorrupt: a cached file was damaged.
    """
    if target == "neuron":
        return _fetch_compiled(spec, store)
    artifact = resolve_base(spec.base, store)
    if is_model_folder(artifact.path):
        artifact = _converted(spec, artifact, store)
    if (artifact.path / OPENVINO_MODEL).is_file() and spec.adapter is None:
        return artifact
    if artifact.path.suffix != ".gguf":
        raise CannotCompile(
            f"expert {spec.name!r}: {artifact.path.name} is no GGUF file, no folder of a Llama (config.json, "
            f"*.safetensors, tokenizer.json), and no folder with {OPENVINO_MODEL} and without an adapter"
        )
    return _faithful(spec, artifact, store) if spec.adapter is None else _merged(spec, spec.adapter, artifact, store)


def _fetch_compiled(spec: ExpertSpec, store: ArtifactStore) -> Artifact:
    """Fetch what `main` compiled earlier, elsewhere: a replica's start never compiles."""
    try:
        return fetch(NeuronOptions.model_validate(spec.engine_options).artifact, store, default_root())
    except ValidationError as error:
        raise CannotCompile(f"expert {spec.name!r}: its engine_options are not the neuron engine's") from error
    except (ManifestMismatch, StoreUnavailable) as error:
        raise CannotCompile(f"expert {spec.name!r}: {error}") from error


def _converted(spec: ExpertSpec, folder: Artifact, store: ArtifactStore) -> Artifact:
    """Return a folder of safetensors as a GGUF file; made once, by the folder's content."""
    try:
        return store.get_or_make(f"gguf-{folder.sha256[:16]}", "model.gguf", partial(write_gguf, folder.path))
    except (OSError, ValueError) as error:
        raise CannotCompile(f"expert {spec.name!r}: {error}") from error


def _faithful(spec: ExpertSpec, base: Artifact, store: ArtifactStore) -> Artifact:
    """Return the base in a form that OpenVINO keeps to; made once, by the base's content."""
    try:
        return store.get_or_make(f"cpu-{base.sha256[:16]}", "model.gguf", partial(make_faithful, base.path))
    except ValueError as error:
        raise CannotCompile(f"expert {spec.name!r}: {base.path.name} cannot be read: {error}") from error


def _merged(spec: ExpertSpec, adapter: str, base: Artifact, store: ArtifactStore) -> Artifact:
    """Return base and adapter as one file; made once, by the content of both."""
    try:
        folder = local_adapter(adapter, store)
    except RemoteError as error:
        raise CannotCompile(f"expert {spec.name!r}: adapter {error}") from error
    if not folder.is_dir():
        raise CannotCompile(f"expert {spec.name!r}: adapter {adapter!r}: there is no such folder")
    try:
        digest = hashlib.sha256(f"{base.sha256} {hash_content(folder)}".encode()).hexdigest()
        make = partial(merge, base.path, read_adapter(folder))
        return store.get_or_make(f"cpu-{digest[:16]}", "model.gguf", make)
    except (OSError, ValueError) as error:
        raise CannotCompile(f"expert {spec.name!r}: {error}") from error


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
