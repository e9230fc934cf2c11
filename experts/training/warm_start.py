"""Go on from an adapter that is there: its matrices become part of a new one, of the same rank or a higher one.

The new adapter computes exactly what the old one did when training begins: the old rows and columns come first, scaled
by what the two adapters multiply by, and the columns of B beside them are zero, as in a fresh adapter. Used by
`experts.finetune --from`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from experts.artifacts.bases import BaseUnavailable


def start_from(model: Any, adapter: Path) -> None:  # a PeftModel
    """Fill a fresh adapter with one of the same layers and at most its rank.

    Raises:
        BaseUnavailable: the adapter cannot be read, or is one of other layers or of a higher rank.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        old = load_file(adapter / "adapter_model.safetensors")
        scale = float(config["lora_alpha"]) / int(config["r"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, SafetensorError) as error:
        raise BaseUnavailable(f"the adapter in {adapter} cannot be read: {type(error).__name__}") from None
    new = get_peft_model_state_dict(model)
    if set(old) != set(new):
        raise BaseUnavailable(f"the adapter in {adapter} has other layers than the base's linear ones")
    ours = model.peft_config["default"]
    grown = dict(_grown(old, new, scale / (ours.lora_alpha / ours.r)))
    set_peft_model_state_dict(model, grown)


def _grown(old: dict[str, Any], new: dict[str, Any], scale: float) -> Iterator[tuple[str, Any]]:
    """Yield each matrix: A as (rank, in), B as (out, rank)."""
    for name, fresh in new.items():
        matrix, grown = old[name].float(), fresh.clone().float()
        rows, columns = matrix.shape
        if rows > grown.shape[0] or columns > grown.shape[1]:
            raise BaseUnavailable("the adapter to start from has a higher rank than the new one, or another base")
        if ".lora_B." in name:
            grown = torch.zeros_like(grown)
            matrix = matrix * scale
        grown[:rows, :columns] = matrix
        yield name, grown
