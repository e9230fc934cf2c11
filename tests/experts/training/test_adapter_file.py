"""An adapter's two files: what the merger and PEFT read, and nothing of the machine."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experts.compilation.merge import read_adapter
from experts.training.adapter_file import save_adapter
from experts.training.recipe import Hyperparameters
from experts.training.trainer import load_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
SFT = Hyperparameters()


def test_an_adapter_is_small_and_readable_by_the_merger(tiny_base: Path, tmp_path: Path) -> None:
    model = load_model(tiny_base, SFT)
    size = save_adapter(model, tmp_path / "adapter", "pypi:base")
    adapter = read_adapter(tmp_path / "adapter")
    assert len(adapter.pairs) == 2 * 7
    assert adapter.scale == 4.0
    assert size == (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert str(tmp_path) not in (tmp_path / "adapter" / "adapter_config.json").read_text()


def test_weights_are_the_models_own_in_bfloat16(tiny_base: Path, tmp_path: Path) -> None:
    model = load_model(tiny_base, SFT)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    save_adapter(model, tmp_path, "pypi:base")
    learnt = {name: value for name, value in model.named_parameters() if value.requires_grad}
    written = load_file(tmp_path / "adapter_model.safetensors")
    assert len(written) == len(learnt)
    for name, value in learnt.items():
        assert torch.equal(written[name.replace(".default", "")], value.to(torch.bfloat16))


def test_peft_loads_it_over_the_same_base(tiny_base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    save_adapter(load_model(tiny_base, SFT), tmp_path, str(tiny_base))
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), tmp_path)
    config = loaded.peft_config["default"]
    assert (config.r, config.lora_alpha, config.base_model_name_or_path) == (4, 16, str(tiny_base))


def test_everybody_may_read_it(tiny_base: Path, tmp_path: Path) -> None:
    save_adapter(load_model(tiny_base, SFT), tmp_path / "new" / "folder", "pypi:base")
    path = tmp_path / "new" / "folder" / "adapter_model.safetensors"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert json.loads((path.parent / "adapter_config.json").read_text())["base_model_name_or_path"] == "pypi:base"
