"""The mean of adapters changes a base by the mean of their changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from experts.compilation.merge import AdapterError, read_adapter
from experts.compilation.safetensors_file import read_tensors
from experts.training.mean_adapter import CONFIG, WEIGHTS, Matrix, main, mean_adapter, safetensors_bytes

KEY = "base_model.model.model.layers.0.{}.lora_{}.weight"
MATRICES = {"self_attn.q_proj": (12, 8), "mlp.up_proj": (20, 8)}


def adapter(folder: Path, seed: int, rank: int, alpha: int, shapes: Mapping[str, tuple[int, int]] = MATRICES) -> Path:
    rng = np.random.default_rng(seed)
    tensors: dict[str, Matrix] = {}
    for name, (out, into) in shapes.items():
        tensors[KEY.format(name, "A")] = rng.normal(size=(rank, into)).astype(np.float32)
        tensors[KEY.format(name, "B")] = rng.normal(size=(out, rank)).astype(np.float32)
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(safetensors_bytes(tensors))
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "base_model_name_or_path": "base"}
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.2, 0.8]])
def test_the_mean_changes_a_base_by_the_mean_of_the_changes(tmp_path: Path, shares: list[float]) -> None:
    one, other = adapter(tmp_path / "one", 1, 2, 8), adapter(tmp_path / "other", 2, 4, 4)
    out = tmp_path / "mean"
    asked = ["--rank", "6", "--shares", *map(str, shares)]
    assert main([str(one), str(other), "--out", str(out), *asked]) == 0
    made = read_adapter(out)
    assert made.scale == 1
    for name in made.pairs:
        wanted = shares[0] * read_adapter(one).delta(name) + shares[1] * read_adapter(other).delta(name)
        assert np.allclose(made.delta(name), wanted, atol=0.02 * np.abs(wanted).max())
        assert made.pairs[name][0].shape[0] == 6


def test_a_rank_that_nothing_fills_is_not_written(tmp_path: Path) -> None:
    one, other = adapter(tmp_path / "one", 1, 2, 8), adapter(tmp_path / "other", 2, 3, 6)
    out = tmp_path / "mean"
    assert main([str(one), str(other), "--out", str(out), "--rank", "16"]) == 0
    config = json.loads((out / CONFIG).read_text())
    assert config["r"] == config["lora_alpha"] == 5
    assert all(a.shape[0] == b.shape[1] == 5 for a, b in read_adapter(out).pairs.values())
    assert main([str(one), "--out", str(tmp_path / "none"), "--rank", "0"]) == 1


def test_a_lower_rank_is_the_nearest_that_there_is(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "one", 3, 4, 4)
    made = mean_adapter([folder], [1.0], 2)
    for name in MATRICES:
        change = made[KEY.format(name, "B")] @ made[KEY.format(name, "A")]
        whole = dict(read_tensors(folder / WEIGHTS))
        wanted = whole[KEY.format(name, "B")] @ whole[KEY.format(name, "A")]
        values = np.linalg.svd(wanted, compute_uv=False)
        assert np.linalg.norm(wanted - change) == pytest.approx(np.linalg.norm(values[2:]), rel=1e-3)


def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path) -> None:
    tensors = {"b": np.array([[1.0, -2.5], [3.140625, 1e-30]], np.float32), "a": np.zeros((1, 3), np.float32)}
    (tmp_path / WEIGHTS).write_bytes(safetensors_bytes(tensors))
    read = dict(read_tensors(tmp_path / WEIGHTS))
    assert read["a"].shape == (1, 3)
    assert np.allclose(read["b"], tensors["b"], rtol=1 / 256)
    assert read["b"][0].tolist() == [1.0, -2.5]


def test_adapters_of_other_matrices_or_bases_have_no_mean(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one", 1, 2, 4)
    fewer = adapter(tmp_path / "fewer", 1, 2, 4, {"mlp.up_proj": (20, 8)})
    wider = adapter(tmp_path / "wider", 1, 2, 4, {"self_attn.q_proj": (12, 8), "mlp.up_proj": (24, 8)})
    with pytest.raises(AdapterError, match="different matrices"):
        mean_adapter([one, fewer], [0.5, 0.5], 2)
    with pytest.raises(AdapterError, match="different bases"):
        mean_adapter([one, wider], [0.5, 0.5], 2)


@pytest.mark.parametrize("shares", [["1"], ["0.7", "0.7"]])
def test_shares_that_do_not_sum_to_one_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shares: list[str]
) -> None:
    one, other = adapter(tmp_path / "one", 1, 2, 4), adapter(tmp_path / "other", 2, 2, 4)
    assert main([str(one), str(other), "--out", str(tmp_path / "mean"), "--shares", *shares]) == 1
    assert "--shares" in capsys.readouterr().err
