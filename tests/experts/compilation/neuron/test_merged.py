"""Merging on CPU, for real, with a Llama of two layers. Needs the `train` extra."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from experts.compilation.neuron.merged import merge_into_folder  # noqa: E402


def test_the_merged_folder_says_what_base_and_adapter_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50}
    config = transformers.LlamaConfig(num_attention_heads=4, num_key_value_heads=2, **shape)
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path / "base")
    vocabulary = tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(vocabulary), eos_token="<unk>")
    fast.save_pretrained(tmp_path / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.bfloat16)
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(base, lora)
    adapted.save_pretrained(tmp_path / "adapter")

    folder = merge_into_folder(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")
    merged = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        wanted = adapted.to(torch.float32)(ids).logits
        with adapted.disable_adapter():
            untouched = adapted(ids).logits
        assert torch.allclose(merged(ids).logits, wanted, atol=0.02)
        assert not torch.allclose(wanted, untouched, atol=0.02)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert (folder / "tokenizer.json").is_file()
    assert not list(folder.glob("adapter_*"))
