"""The base model for transformers: a GGUF file is unpacked once, into the user's cache.

Called by `experts.finetune`. transformers refuses to save what it loaded from a GGUF file until it is told that the
weights are no longer quantised.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from experts.artifacts.bases import resolve_base
from experts.artifacts.store import Artifact, ArtifactStore


def unpacked_base(base: str, store: ArtifactStore) -> Artifact:
    """Return the folder of a base's weights and tokenizer in transformers' own format.

    Raises:
        BaseUnavailable: the base cannot be had.
    """
    found = resolve_base(base, store)
    if found.path.is_dir():
        return found
    return store.get_or_make(f"unpacked-{found.sha256[:16]}", "model", partial(_unpack, found.path))


def _unpack(gguf: Path, folder: Path) -> None:
    import torch  # noqa: PLC0415  # seconds to import, and only the first run needs it here
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    del model.config.quantization_config
    model.hf_quantizer = None
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
