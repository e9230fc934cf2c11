from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from experts.compilation.merge import AdapterError, interleave, merge, read_adapter
from tests.experts.tiny_model import HEADS, KV_HEADS, RANK, WEIGHTS, WIDTH, lora, write_adapter, write_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base.gguf")


def read(path: Path) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: (t.tensor_type.name, gguf.dequantize(t.data, t.tensor_type)) for t in tensors}


def test_what_changes_is_added_and_what_does_not_stays(base: Path, tmp_path: Path) -> None:
    halves = lora()
    merge(base, read_adapter(write_adapter(tmp_path / "adapter", halves)), tmp_path / "merged.gguf")
    merged = read(tmp_path / "merged.gguf")
    down = "base_model.model.model.layers.0.mlp.down_proj"
    wanted = WEIGHTS["blk.0.ffn_down.weight"] + 4 * halves[f"{down}.lora_B.weight"] @ halves[f"{down}.lora_A.weight"]
    kind, got = merged["blk.0.ffn_down.weight"]
    assert kind == "Q8_0"
    assert np.abs(got - wanted).max() <= np.abs(wanted).max() / 127
    assert merged["blk.0.ffn_up.weight"][0] == "F32"
    assert np.array_equal(merged["blk.0.ffn_up.weight"][1], WEIGHTS["blk.0.ffn_up.weight"])


@pytest.mark.parametrize(("part", "name", "heads"), [("q", "attn_q", HEADS), ("k", "attn_k", KV_HEADS)])
def test_query_and_key_changes_take_llama_cpps_order(
    base: Path, tmp_path: Path, part: str, name: str, heads: int
) -> None:
    halves = lora()
    merge(base, read_adapter(write_adapter(tmp_path / "adapter", halves)), tmp_path / "merged.gguf")
    prefix = f"base_model.model.model.layers.0.self_attn.{part}_proj"
    delta = 4 * halves[f"{prefix}.lora_B.weight"] @ halves[f"{prefix}.lora_A.weight"]
    got = read(tmp_path / "merged.gguf")[f"blk.0.{name}.weight"][1] - WEIGHTS[f"blk.0.{name}.weight"]
    size = len(delta) // heads
    for head in range(heads):
        for pair in range(size // 2):
            for half in range(2):
                row = got[head * size + 2 * pair + half]
                assert np.abs(row - delta[head * size + half * size // 2 + pair]).max() < 0.5


def test_interleaving_moves_rows_and_loses_none() -> None:
    rows = np.arange(WIDTH, dtype=np.float32)[:, None]
    assert sorted(interleave(rows, HEADS)[:, 0].tolist()) == rows[:, 0].tolist()
    assert interleave(rows, HEADS)[:4, 0].tolist() == [0, 4, 1, 5]


@pytest.mark.parametrize(
    ("config", "message"),
    [({"peft_type": "LOHA"}, "plain LoRA"), ({"use_dora": True}, "plain LoRA"), ({"bias": "all"}, "plain LoRA")],
)
def test_other_kinds_are_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        read_adapter(write_adapter(tmp_path / "adapter", lora(), **config))


def test_rank_stabilised_scaling_is_kept(tmp_path: Path) -> None:
    assert read_adapter(write_adapter(tmp_path / "a", lora(), use_rslora=True)).scale == pytest.approx(8 / 2**0.5)


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter", lora())
    weights = folder / "adapter_model.safetensors"
    for damage in (b"", b"\xff" * 64, weights.read_bytes()[:-9]):
        weights.write_bytes(damage)
        with pytest.raises(AdapterError, match="cannot be read"):
            read_adapter(folder)


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"the base has no blk\.9"):
        merge(base, read_adapter(write_adapter(tmp_path / "a", lora(layer=9))), tmp_path / "merged.gguf")
    odd = {name: tensor[:, :16] if name.endswith("lora_A.weight") else tensor for name, tensor in lora().items()}
    with pytest.raises(AdapterError, match="in the base and"):
        merge(base, read_adapter(write_adapter(tmp_path / "b", odd)), tmp_path / "merged.gguf")
    head = {"base_model.model.lm_head.lora_A.weight": np.zeros((RANK, WIDTH), np.float32)}
    with pytest.raises(AdapterError, match="not a part"):
        read_adapter(write_adapter(tmp_path / "c", head))
