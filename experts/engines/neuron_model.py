"""A compiled Llama on NeuronCores, as `experts.engines.neuron.CompiledModel`: the only calls into optimum-neuron.

Written against optimum-neuron 0.4.5 and bound to it by tests/neuron; not run on hardware. `load_neuron` goes in this
order: cores, before the runtime can read the variable; manifest, before minutes are spent; model; tokeniser. It never
compiles: `from_pretrained` on a folder with a compiled graph only loads.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import ExpertSpec
from experts.engines.hf_tokenizer import HFTokenizer
from experts.engines.neuron import Draw, NeuronPipeline
from experts.neuron.cores import claim_cores
from experts.neuron.manifest import MODEL, Stack, check_manifest, check_neuron_config, read_manifest
from experts.neuron.shapes import NeuronOptions, shapes_of


def load_neuron(spec: ExpertSpec, folder: Path) -> NeuronPipeline:
    """Load a compiled expert into this process.

    Raises:
        CoresUnusable: the replica's cores do not fit the model.
        ManifestMismatch: the artefact does not fit the entry, the instance or the installed stack.
    """
    shapes = shapes_of(spec)
    claim_cores(os.environ, shapes.cores)
    content = ArtifactStore(default_root()).adopt(folder / MODEL)
    check_manifest(
        read_manifest(folder),
        shapes=shapes,
        stack=installed_stack(),
        target=installed_target(),
        model_sha256=content.sha256,
    )
    check_neuron_config(folder, shapes)
    options = NeuronOptions.model_validate(spec.engine_options)
    tokenizer = HFTokenizer.load(folder / MODEL)
    return NeuronPipeline(NeuronModel(folder / MODEL), tokenizer, shapes, options.prefills_per_step)


def installed_stack() -> Stack:
    """Say which Neuron software is installed here."""
    from optimum.neuron.utils.version_utils import get_neuronxcc_version
    from optimum.neuron.version import __sdk_version__

    return Stack(importlib.metadata.version("optimum-neuron"), __sdk_version__, get_neuronxcc_version())


def installed_target() -> str:
    """Say what this instance is in the compiler's words: trn1 (inf2, too) or trn2."""
    from optimum.neuron.utils.instance import current_instance_type

    return str(current_instance_type())


class NeuronModel:
    """One loaded model. Tensors are on the host: the traced model moves them."""

    def __init__(self, folder: Path) -> None:
        import torch
        from optimum.neuron import NeuronModelForCausalLM

        self._torch = torch
        self._model = NeuronModelForCausalLM.from_pretrained(str(folder))

    @property
    def max_top_k(self) -> int:
        """The most candidates that the compiled sampler considers."""
        return int(self._model.neuron_config.max_topk)

    def encode(self, slot: int, prompt: list[int], draw: Draw) -> int:
        """Fill a slot's cache with a prompt and return the next token; the wrapper pads to the bucket on the right."""
        [token] = self._forward([prompt], [list(range(len(prompt)))], [slot], [draw])
        return token

    def decode(self, slots: list[int], tokens: list[int], positions: list[int], draws: list[Draw]) -> list[int]:
        """Return the next token of each slot; the wrapper pads to the compiled batch."""
        return self._forward([[token] for token in tokens], [[position] for position in positions], slots, draws)

    def _forward(
        self, tokens: list[list[int]], positions: list[list[int]], slots: list[int], draws: list[Draw]
    ) -> list[int]:
        """Run one graph.

        Shapes: tokens and positions (B, T), slots (B,), sampling (B, 3) in the order top-k, top-p, temperature; the
        on-device sampler returns (B,).
        """
        torch = self._torch
        with torch.inference_mode():
            made: Any = self._model(
                input_ids=torch.tensor(tokens, dtype=torch.long),
                position_ids=torch.tensor(positions, dtype=torch.long),
                seq_ids=torch.tensor(slots, dtype=torch.long),
                sampling_params=torch.tensor([[d.top_k, d.top_p, d.temperature] for d in draws], dtype=torch.float32),
            )
        return [int(token) for token in made.flatten().tolist()]
