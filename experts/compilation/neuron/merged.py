"""Merges a base and a LoRA adapter into one Hugging Face folder, on CPU, for the Neuron compiler.

`experts.compilation.neuron.command` calls it if an entry has an adapter and its base is a Hugging Face model (a GGUF
base is merged by `experts.compilation.merge`, for the CPU engine). Needs torch, transformers and peft (the `train`
extra). A base of 8 billion parameters takes 16 GB of memory. Nothing is merged at run time: optimum-neuron has no
LoRA for language models.
"""

from __future__ import annotations

from pathlib import Path


class CannotMerge(Exception):
    """The folder cannot be made here; the message says what is missing."""


def merge_into_folder(base: Path, adapter: Path, out: Path) -> Path:
    """Write the merged model, its tokeniser and its generation config; return the folder.

    Raises:
        CannotMerge: a library is missing.
    """
    try:
        import torch  # noqa: PLC0415  # only where experts are compiled
        from peft import PeftModel  # noqa: PLC0415
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
    except ImportError as error:
        raise CannotMerge(f"merging an adapter needs {error.name}: pip install 'moegate[train]'") from error
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.bfloat16)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    merged.save_pretrained(str(out))
    AutoTokenizer.from_pretrained(str(base)).save_pretrained(str(out))
    return out
