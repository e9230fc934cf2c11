"""Every call and field of ours, bound to optimum-neuron 0.4.5 as it is installed."""

import ast
import importlib.metadata
import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from experts.compilation.neuron.export import configure
from experts.neuron.cores import VISIBLE_CORES, claim_cores
from experts.neuron.instances import load_instances
from experts.neuron.manifest import ManifestMismatch, check_neuron_config
from experts.neuron.memory import FLASH_FROM, sharded_heads
from experts.neuron.shapes import Shapes
from tests.neuron.installed import bind, definition, our_calls, run_definition, signature

SHAPES = Shapes(batch_size=4, sequence_length=4096, prompt_bucket=3072, cores=2)
MODEL, EXPORT = "experts/engines/neuron_model.py", "experts/compilation/neuron/export.py"


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler's version, which is all that the configuration asks of it."""
    module = ModuleType("neuronxcc")
    module.__version__ = "2.21.33363.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "neuronxcc", module)
    from optimum.neuron.utils.version_utils import get_neuronxcc_version

    get_neuronxcc_version.cache_clear()


def test_the_version_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("optimum-neuron") == "0.4.5"
    from optimum.neuron.version import __sdk_version__

    assert __sdk_version__ == "2.26.1"


def test_the_sdk_s_pins_are_those_of_the_image() -> None:
    """deploy/requirements-neuron.txt is what the metadata's `neuronx` extra says."""
    wanted = {r.split(";")[0].strip() for r in importlib.metadata.requires("optimum-neuron") or () if '"neuronx"' in r}
    file = Path(__file__).resolve().parents[2] / "deploy" / "requirements-neuron.txt"
    assert {
        pin
        for pin in wanted
        if pin.split("==")[0] in ("torch", "torch-neuronx", "neuronx-cc", "neuronx_distributed", "libneuronxla")
    } <= set(file.read_text().split())


@pytest.mark.parametrize(
    ("path", "attribute"),
    [(EXPORT, "get_neuron_config"), (EXPORT, "export"), (EXPORT, "save_pretrained"), (MODEL, "from_pretrained")],
)
def test_calls_on_the_model_class_bind(path: str, attribute: str) -> None:
    from optimum.neuron import NeuronModelForCausalLM

    method = inspect.signature(getattr(NeuronModelForCausalLM, attribute))
    if attribute == "save_pretrained":  # an instance's method; the others are the class's
        method = method.replace(parameters=list(method.parameters.values())[1:])
    for call in our_calls(path, attribute):
        bind(call, method)


def test_the_forward_call_binds() -> None:
    decoder = "models/inference/backend/modules/decoder/modeling_decoder.py"
    forward = signature(decoder, "NxDModelForCausalLM.forward")
    [call] = our_calls(MODEL, "_model")
    bound = bind(ast.Call(call.func, [ast.Constant("self"), *call.args], call.keywords), forward)
    assert set(bound.arguments) == {"self", "input_ids", "position_ids", "seq_ids", "sampling_params"}


def test_versions_and_instance_are_asked_for_by_names_that_exist() -> None:
    from optimum.neuron.utils.instance import current_instance_type
    from optimum.neuron.utils.version_utils import get_neuronxcc_version

    assert inspect.signature(get_neuronxcc_version).parameters == {}
    assert inspect.signature(current_instance_type).parameters == {}
    with pytest.raises(RuntimeError, match="No Neuron device"):
        current_instance_type()


@pytest.mark.parametrize(
    ("family", "target"), [("inf2", "trn1"), ("trn1", "trn1"), ("trn1n", "trn1"), ("trn2", "trn2")]
)
def test_families_become_the_compiler_s_targets(family: str, target: str) -> None:
    from optimum.neuron.utils.instance import normalize_instance_type

    assert normalize_instance_type(family) == target


def neuron_config(**fields: Any) -> Any:
    """The real configuration class, run."""
    from optimum.neuron.models.inference.backend.config import NxDNeuronConfig

    return NxDNeuronConfig(**fields)


@pytest.mark.usefixtures("compiler")
def test_what_the_library_records_is_what_the_engine_checks(tmp_path: Path) -> None:
    """Our configuration, made by the Llama's own rule, saved by the library, read by our check."""

    class Llama:
        @classmethod
        def get_neuron_config(cls, model_name_or_path: str, **asked: Any) -> Any:
            rule = run_definition(
                "models/inference/llama/modeling_llama.py",
                "LlamaNxDModelForCausalLM._get_neuron_config",
                NxDNeuronConfig=neuron_config,
                torch=__import__("torch"),
            )
            return rule.__func__(cls, checkpoint_id=None, checkpoint_revision=None, dtype="bfloat16", **asked)

    config = configure(Llama, tmp_path, SHAPES, "trn1")
    config.save_pretrained(tmp_path / "model")
    check_neuron_config(tmp_path, SHAPES)
    record = json.loads((tmp_path / "model" / "neuron_config.json").read_text())
    assert (record["optimum_neuron_version"], record["neuronxcc_version"]) == ("0.4.5", "2.21.33363.0")
    assert config.ctx_batch_size == 1  # one prompt at a time
    assert config.max_topk == 256
    for field, other in (("batch_size", 8), ("max_context_length", 4096), ("tp_degree", 8)):
        (tmp_path / "model" / "neuron_config.json").write_text(json.dumps(record | {field: other}))
        with pytest.raises(ManifestMismatch, match=field):
            check_neuron_config(tmp_path, SHAPES)


@pytest.mark.usefixtures("compiler")
def test_a_batch_of_one_has_no_continuous_batching() -> None:
    """Why the catalogue's max_batch_size must be 2 or more."""
    rule = run_definition(
        "models/inference/llama/modeling_llama.py",
        "LlamaNxDModelForCausalLM._get_neuron_config",
        NxDNeuronConfig=neuron_config,
        torch=__import__("torch"),
    )
    made = rule.__func__(
        None,
        checkpoint_id=None,
        checkpoint_revision=None,
        instance_type="trn1",
        batch_size=1,
        sequence_length=128,
        tensor_parallel_size=2,
        dtype="bfloat16",
    )
    assert made.continuous_batching is False


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one device of two cores."""
    from optimum.neuron.utils import system

    monkeypatch.setattr(system, "get_neuron_devices_count", lambda: 1)
    monkeypatch.setattr(system, "cores_per_device", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_ray_s_comma_list_is_misread_until_it_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own parser, run. When the first assertion fails, the bug is fixed and `claim_cores` may go."""
    from optimum.neuron.utils.system import get_available_cores

    monkeypatch.setenv(VISIBLE_CORES, "0,1")
    assert get_available_cores() == 1
    claim_cores(os.environ, 2)
    assert get_available_cores() == 2


@pytest.mark.parametrize(("heads", "kv_heads"), [(32, 8), (64, 8), (32, 32), (9, 3), (24, 8)])
@pytest.mark.parametrize("cores", [1, 2, 4, 8, 12, 16, 24, 32])
def test_heads_are_sharded_as_our_memory_arithmetic_says(heads: int, kv_heads: int, cores: int) -> None:
    gqa = "models/inference/backend/modules/attention/gqa.py"
    import enum

    count = run_definition(
        gqa,
        "get_shardable_head_counts",
        GQA=run_definition(gqa, "GQA", enum=enum),
        get_number_of_extra_heads=lambda n, tp: -n % tp,  # neuronx_distributed's, which is not here
    )
    base = load_instances().architecture("hf:meta-llama/Llama-3.1-8B-Instruct")
    model = base.model_copy(update={"num_attention_heads": heads, "num_key_value_heads": kv_heads})
    assert count(cores, heads, kv_heads)[1:] == sharded_heads(model, cores)


def test_flash_attention_begins_where_the_arithmetic_says() -> None:
    node = definition(
        "models/inference/backend/modules/attention/attention_base.py",
        "NeuronAttentionBase.get_flash_attention_strategy",
    )
    limits = [
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, int) and n.value > 2048
    ]
    assert FLASH_FROM in limits
