"""Turns a catalogue entry into the artefact that an engine loads, or finds the one that was made before.

The start code calls `prepare_expert` before it deploys, so that replicas only load. A second run does nothing. On `cpu`
an expert is its base's GGUF file with its adapter merged into it, in a form that OpenVINO does not change; a base that
is a folder of safetensors becomes such a file first.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Literal

from pydantic import ValidationError

from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.store import Artifact, ArtifactCorrupt, ArtifactStore, default_root, hash_content
from experts.artifacts.weights import local_adapter
from experts.catalog.remote import RemoteError
from experts.catalog.spec import CatalogError, ExpertSpec
from experts.compilation.gguf_from_folder import is_model_folder, write_gguf
from experts.compilation.merge import merge, read_adapter
from experts.compilation.neuron.store import StoreUnavailable, fetch
from experts.compilation.requantise import make_faithful
from experts.neuron.manifest import ManifestMismatch
from experts.neuron.shapes import NeuronOptions

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
