"""The manifest of a compiled model: from what, with what and for what it was made, and whether it may be loaded here.

`experts.compilation.neuron.export` writes it last, the engine checks it first. An artefact is a folder with
`manifest.json` and `model/`, the latter as `NeuronModelForCausalLM.save_pretrained` writes it. Every refusal names both
sides and the remedy, because the library's own message ("The model was compiled for trn1...") comes minutes later or
never.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from experts.neuron.shapes import Shapes

FORMAT = 1
MANIFEST = "manifest.json"
MODEL = "model"
NEURON_CONFIG = "neuron_config.json"  # optimum-neuron's own file in the model's folder


class ManifestMismatch(Exception):
    """The artefact must not be loaded as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The software that compiled a model, or that would load it. Compiled graphs hold for one set of versions."""

    optimum_neuron: str
    sdk: str
    compiler: str  # neuronx-cc


@dataclass(frozen=True, slots=True)
class Manifest:
    """One compiled artefact."""

    expert: str
    base: str
    weights_sha256: str  # of the merged folder it was compiled from
    model_sha256: str  # of model/, as experts.artifacts.store.hash_content counts it
    target: str  # what the compiler was told: trn1 stands for inf2, trn1 and trn1n; trn2
    shapes: Shapes
    stack: Stack

    def to_json(self) -> str:
        """Serialise it."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read an artefact's manifest.

    Raises:
        ManifestMismatch: there is none, or it is of another format.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        raise ManifestMismatch(f"{folder} holds no readable {MANIFEST}: compile it with {_COMPILE}") from None
    if content.pop("format", None) != FORMAT:
        raise ManifestMismatch(f"{folder / MANIFEST} is not of format {FORMAT}: compile again with {_COMPILE}")
    try:
        shapes, stack = Shapes(**content.pop("shapes")), Stack(**content.pop("stack"))
        return Manifest(**content, shapes=shapes, stack=stack)
    except (TypeError, KeyError):
        raise ManifestMismatch(f"{folder / MANIFEST} lacks fields: compile again with {_COMPILE}") from None


def check_manifest(manifest: Manifest, *, shapes: Shapes, stack: Stack, target: str, model_sha256: str) -> None:
    """Refuse an artefact that this replica cannot run.

    Args:
        manifest: the artefact's.
        shapes: what the catalogue entry wants.
        stack: what is installed here.
        target: what this instance is, in the compiler's words.
        model_sha256: hash of the files that are here.

    Raises:
        ManifestMismatch: with every difference, one a line.
    """
    wrong = [
        f"{field}: compiled for {getattr(manifest.shapes, field)}, the catalogue says {getattr(shapes, field)}; change "
        f"the entry, or compile again with {_COMPILE}"
        for field in Shapes.__dataclass_fields__
        if getattr(manifest.shapes, field) != getattr(shapes, field)
    ]
    wrong += [
        f"{field}: compiled with {getattr(manifest.stack, field)}, here is {getattr(stack, field)}; serve it from an "
        f"image with the compiler's versions (deploy/Dockerfile.expert-neuron), or compile again with {_COMPILE}"
        for field in Stack.__dataclass_fields__
        if getattr(manifest.stack, field) != getattr(stack, field)
    ]
    if manifest.target != target:
        wrong.append(
            f"target: compiled for {manifest.target}, this instance is {target}; compile with --instance {target}"
        )
    if manifest.model_sha256 != model_sha256:
        wrong.append("model: the files are not those that were compiled; fetch the artefact again")
    if wrong:
        raise ManifestMismatch("the artefact does not fit this replica:\n" + "\n".join(wrong))


def check_neuron_config(folder: Path, shapes: Shapes) -> None:
    """Hold optimum-neuron's own record against our manifest's shapes, and to what the engine relies on.

    Raises:
        ManifestMismatch: they differ, or sampling or continuous batching was not compiled in.
    """
    try:
        config = json.loads((folder / MODEL / NEURON_CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        raise ManifestMismatch(f"{folder / MODEL} holds no readable {NEURON_CONFIG}: it is no compiled model") from None
    wanted = {
        "batch_size": shapes.batch_size,
        "max_batch_size": shapes.batch_size,
        "sequence_length": shapes.sequence_length,
        "max_context_length": shapes.prompt_bucket,
        "tp_degree": shapes.cores,
        "continuous_batching": True,
        "on_device_sampling": True,
    }
    wrong = [
        f"{name} is {config.get(name)!r}, not {value!r}" for name, value in wanted.items() if config.get(name) != value
    ]
    if wrong:
        raise ManifestMismatch(f"{NEURON_CONFIG}: {'; '.join(wrong)}; compile again with {_COMPILE}")


_COMPILE = "`python -m experts.compile EXPERT --target neuron`"
