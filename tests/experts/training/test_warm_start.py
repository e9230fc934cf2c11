"""Training that begins with an adapter begins with exactly what that adapter computes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from experts.artifacts.bases import BaseUnavailable
from experts.training.adapter_file import save_adapter
from experts.training.recipe import Hyperparameters
from experts.training.trainer import load_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
SMALL = Hyperparameters(rank=2, alpha=8)
TOKENS = torch.tensor([[5, 9, 33, 60, 2, 7]])


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path) -> Path:
    """An adapter that was trained, as far as its numbers tell."""
    model = load_model(tiny_base, SMALL)
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights)
    save_adapter(model, tmp_path / "adapter", "base")
    return tmp_path / "adapter"


def said(base: Path, hyperparameters: Hyperparameters, start: Path | None) -> torch.Tensor:
    with torch.no_grad():
        return torch.Tensor(load_model(base, hyperparameters, start).float()(TOKENS).logits)


@pytest.mark.parametrize(("rank", "alpha"), [(2, 8), (4, 8), (4, 16), (6, 3)])
def test_a_grown_adapter_computes_what_the_old_one_did(tiny_base: Path, adapter: Path, rank: int, alpha: int) -> None:
    old = said(tiny_base, SMALL, adapter)
    assert torch.allclose(old, said(tiny_base, replace(SMALL, rank=rank, alpha=alpha), adapter), atol=1e-5)
    assert not torch.allclose(old, said(tiny_base, SMALL, None), atol=1e-2)


def test_what_was_added_can_be_learnt(tiny_base: Path, adapter: Path) -> None:
    model = load_model(tiny_base, replace(SMALL, rank=4), adapter).float()
    model(TOKENS).logits.sum().backward()
    added = [one.grad[:, 2:] for name, one in model.named_parameters() if "lora_B" in name and one.grad is not None]
    assert added
    assert all(part.abs().max() > 0 for part in added)


def test_frozen_layers_get_no_gradient(tiny_base: Path, adapter: Path) -> None:
    model = load_model(tiny_base, replace(SMALL, frozen_layers=1), adapter).float()
    model(TOKENS).logits.sum().backward()
    learnt = {name.split("layers.")[1][0] for name, one in model.named_parameters() if one.grad is not None}
    assert learnt == {"1"}


def test_a_higher_rank_than_the_new_one_is_refused(tiny_base: Path, adapter: Path) -> None:
    with pytest.raises(BaseUnavailable, match="higher rank"):
        load_model(tiny_base, replace(SMALL, rank=1), adapter)


def _without_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()


def _broken_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").write_bytes(b"no weights")


def _broken_config(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text("{")


def _config_without_rank(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8}))


def _rank_of_zero(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 0}))


def _fewer_layers(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name: part for name, part in load_file(path).items() if "layers.0" in name}, path)


@pytest.mark.parametrize(
    "damage",
    [_without_weights, _broken_weights, _broken_config, _config_without_rank, _rank_of_zero, _fewer_layers],
)
def test_what_is_no_adapter_of_this_base_is_refused(tiny_base: Path, adapter: Path, damage: object) -> None:
    assert callable(damage)
    damage(adapter)
    with pytest.raises(BaseUnavailable, match="adapter"):
        load_model(tiny_base, SMALL, adapter)
