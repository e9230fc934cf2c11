"""The compilation itself: turns a merged Hugging Face folder into an artefact. It needs the Neuron SDK.

`experts.compile` calls `compile_expert` for `--target neuron`. The calls are those that `experts.neuron.plan` prints,
written against optimum-neuron 0.4.5, bound by tests/neuron, not run on hardware. Large models take 30 to 60 minutes, so
it is a job of its own and never happens in a replica. Experts with the same base and shapes share compiled graphs
through the compiler's cache, because a graph holds no weights.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from experts.artifacts.store import hash_content
from experts.compilation.neuron.store import publish
from experts.neuron.manifest import MANIFEST, MODEL, Manifest, Stack
from experts.neuron.shapes import Shapes

TARGET_OVERRIDE = "NEURON_PLATFORM_TARGET_OVERRIDE"
_BESIDE_THE_GRAPH = ("generation_config.json", "tokenizer*", "special_tokens_map.json", "chat_template*")


class CannotExport(Exception):
    """The compiler cannot run here; the message says what is missing."""


def compile_expert(expert: str, base: str, merged: Path, shapes: Shapes, family: str, url: str) -> Manifest:
    """Compile a merged folder for an instance family and publish the artefact.

    Args:
        expert: its name, for the manifest.
        base: what it was made from, for the manifest.
        merged: a Hugging Face folder: config, safetensors, tokeniser.
        shapes: what to trace for.
        family: inf2, trn1, trn1n or trn2.
        url: where the artefact goes.

    Raises:
        CannotExport: the SDK is not installed, or the folder is no model.
    """
    if not (merged / "config.json").is_file():
        raise CannotExport(f"{merged} holds no config.json: it is no Hugging Face model folder")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        target, stack = _export(merged, folder / MODEL, shapes, family)
        _copy_tokenizer(merged, folder / MODEL)
        manifest = Manifest(
            expert=expert,
            base=base,
            weights_sha256=hash_content(merged),
            model_sha256=hash_content(folder / MODEL),
            target=target,
            shapes=shapes,
            stack=stack,
        )
        (folder / MANIFEST).write_text(manifest.to_json())
        publish(folder, url)
    return manifest


def configure(model_class: Any, merged: Path, shapes: Shapes, family: str) -> Any:  # noqa: ANN401  # untyped library
    """Make the compiler's configuration for these shapes."""
    config = model_class.get_neuron_config(
        str(merged),
        instance_type=family,
        batch_size=shapes.batch_size,
        sequence_length=shapes.sequence_length,
        tensor_parallel_size=shapes.cores,
    )
    config.max_context_length = shapes.prompt_bucket
    return config


def _export(merged: Path, out: Path, shapes: Shapes, family: str) -> tuple[str, Stack]:
    """Run the compiler; return what it was told to compile for, and its versions."""
    os.environ.setdefault(TARGET_OVERRIDE, "trn2" if family == "trn2" else "trn1")  # before the SDK is imported
    try:
        from optimum.neuron import NeuronModelForCausalLM  # noqa: PLC0415  # only where the SDK is

        from experts.engines.neuron_model import installed_stack  # noqa: PLC0415

        stack = installed_stack()
    except ImportError as error:
        raise CannotExport(
            f"the Neuron SDK is not installed here ({error}): run this in the image of "
            "deploy/Dockerfile.expert-neuron, or look at --plan"
        ) from error
    config = configure(NeuronModelForCausalLM, merged, shapes, family)
    model = NeuronModelForCausalLM.export(str(merged), neuron_config=config, load_weights=False)
    model.save_pretrained(str(out))
    return str(config.target), stack


def _copy_tokenizer(merged: Path, out: Path) -> None:
    """Put what the engine reads beside the graph: save_pretrained writes configuration and weights only."""
    for pattern in _BESIDE_THE_GRAPH:
        for file in merged.glob(pattern):
            shutil.copyfile(file, out / file.name)
