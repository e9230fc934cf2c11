"""Memory by arithmetic, checked against figures that are known without it."""

import pytest

from experts.neuron.instances import GIB, Architecture, load_instances
from experts.neuron.memory import RESERVED, fit, memory_per_core, sharded_heads
from experts.neuron.shapes import Shapes

DATA = load_instances()
B8 = DATA.architecture("hf:meta-llama/Llama-3.1-8B-Instruct")
B70 = DATA.architecture("hf:meta-llama/Llama-3.1-70B-Instruct")


def verdict(model: Architecture, instance: str, **shapes: int) -> tuple[bool, str]:
    wanted = {"batch_size": 4, "sequence_length": 4096, "prompt_bucket": 4096, "cores": 2} | shapes
    result = fit(instance, DATA.instance(instance), model, Shapes(**wanted))
    return result.is_fit, "; ".join(result.problems)


def test_weights_and_cache_of_an_8b_on_one_core_are_its_plain_size() -> None:
    """No padding, no repeating: bf16 weights, and 128 KiB of keys and values a token (8 heads x 128 x 2 x 32
    layers)."""
    memory = memory_per_core(B8, Shapes(batch_size=2, sequence_length=1000, prompt_bucket=1000, cores=1))
    assert memory.weights == 2 * B8.parameters
    assert memory.cache == 2 * 1000 * 128 * 1024
    assert memory.scores == 32 * 1000 * 1000 * 4


def test_splitting_divides_and_flash_attention_keeps_no_scores() -> None:
    one = memory_per_core(B8, Shapes(32, 4096, 4096, 1))
    eight = memory_per_core(B8, Shapes(32, 4096, 4096, 8))
    assert eight.cache == one.cache / 8
    assert eight.weights == pytest.approx(one.weights / 8, rel=0.001)
    assert eight.scores == 0


def test_tied_embeddings_are_stored_twice() -> None:
    small = DATA.architecture("hf:meta-llama/Llama-3.2-1B-Instruct")
    memory = memory_per_core(small, Shapes(2, 128, 128, 1))
    assert memory.weights == 2 * (small.parameters + small.vocab_size * small.hidden_size)


@pytest.mark.parametrize(
    ("model", "cores", "heads"),
    [(B8, 2, (32, 8)), (B8, 8, (32, 8)), (B8, 16, (32, 16)), (B8, 12, (36, 36)), (B70, 24, (72, 24))],
)
def test_heads_are_padded_and_repeated_as_the_library_does(
    model: Architecture, cores: int, heads: tuple[int, int]
) -> None:
    assert sharded_heads(model, cores) == heads


@pytest.mark.parametrize("instance", ["inf2.8xlarge", "inf2.48xlarge", "trn1.32xlarge"])
def test_an_8b_on_two_cores_fits(instance: str) -> None:
    assert verdict(B8, instance) == (True, "")


def test_an_8b_fits_the_device_of_an_xlarge_but_not_its_host() -> None:
    is_fit, why = verdict(B8, "inf2.xlarge")
    assert not is_fit
    assert why == "loading holds 17.0 GiB on the host, which has 16"


def test_a_batch_of_32_does_not_fit_two_cores_and_does_fit_eight() -> None:
    assert "GiB of HBM a core" in verdict(B8, "inf2.48xlarge", batch_size=32)[1]
    assert verdict(B8, "inf2.48xlarge", batch_size=32, cores=8) == (True, "")  # the published configuration


def test_a_70b_needs_all_of_a_48xlarge() -> None:
    assert verdict(B70, "inf2.48xlarge", cores=24) == (True, "")
    assert "GiB of HBM a core" in verdict(B70, "inf2.48xlarge", cores=8)[1]
    assert "needs 24 cores, has 12" in verdict(B70, "inf2.24xlarge", cores=24)[1]


def test_the_edge_is_exact() -> None:
    """The largest batch that fits fits, the next does not; what is left over is less than one more row."""
    instance = DATA.instance("inf2.8xlarge")
    fits = [batch for batch in range(2, 64) if verdict(B8, "inf2.8xlarge", batch_size=batch)[0]]
    usable = instance.hbm_per_core * (1 - RESERVED)
    row = memory_per_core(B8, Shapes(2, 4096, 4096, 2)).cache / 2
    left = usable - memory_per_core(B8, Shapes(max(fits), 4096, 4096, 2)).total
    assert fits == list(range(2, max(fits) + 1))
    assert 0 <= left < row
    assert row / GIB == pytest.approx(0.25)
