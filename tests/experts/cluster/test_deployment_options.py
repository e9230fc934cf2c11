"""A catalogue entry in Ray Serve's words, and the weights that its replicas load."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.artifacts.store import hash_content
from experts.catalog.spec import Resources, Scaling, load_catalog
from experts.cluster.deployment_options import deployment_options, find_weights
from tests.experts.entries import expert_spec


def test_a_catalogue_entry_becomes_deployment_options() -> None:
    spec = load_catalog().experts[0]
    options = deployment_options(spec)
    assert options["num_replicas"] == 1
    assert options["max_ongoing_requests"] > spec.max_batch_size + spec.max_queue_len
    scaled = spec.model_copy(
        update={
            "scaling": Scaling(min_replicas=1, max_replicas=4, target_ongoing=6),
            "resources": Resources(num_cpus=1, custom={"neuron_cores": 2}),
        }
    )
    options = deployment_options(scaled)
    assert options["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": 6,
        "upscale_delay_s": 10,
        "downscale_delay_s": 120,
        "look_back_period_s": 11,
    }
    assert options["graceful_shutdown_timeout_s"] == 300  # a replica that is taken away ends its answers first
    assert options["ray_actor_options"] == {"num_cpus": 1, "resources": {"neuron_cores": 2}}
    assert "num_replicas" not in options


def test_without_a_target_the_batch_s_slots_are_it() -> None:
    spec = load_catalog().experts[0]
    spec = spec.model_copy(update={"scaling": Scaling(min_replicas=0, max_replicas=2), "max_batch_size": 12})
    scaling = deployment_options(spec)["autoscaling_config"]
    assert (scaling["target_ongoing_requests"], scaling["min_replicas"]) == (12, 0)


@given(st.integers(1, 64), st.integers(0, 256))
def test_ray_lets_through_all_that_the_engine_takes_and_refuses_itself(batch: int, queue: int) -> None:
    options = deployment_options(expert_spec(max_batch_size=batch, max_queue_len=queue))
    assert options["max_ongoing_requests"] > batch + queue


@given(st.floats(0, 600))
def test_load_is_averaged_over_at_least_the_upscale_delay_and_what_ray_wants(delay_s: float) -> None:
    scaling = {"min_replicas": 1, "max_replicas": 3, "upscale_delay_s": delay_s, "downscale_delay_s": 7, "drain_s": 5}
    options = deployment_options(expert_spec(scaling=scaling))
    assert options["autoscaling_config"]["look_back_period_s"] >= max(delay_s, 10.001)
    assert options["autoscaling_config"]["upscale_delay_s"] == delay_s
    assert options["autoscaling_config"]["downscale_delay_s"] == 7
    assert options["graceful_shutdown_timeout_s"] == 5


def test_a_fixed_number_of_replicas_is_not_scaled() -> None:
    options = deployment_options(expert_spec(scaling={"min_replicas": 3, "max_replicas": 3}))
    assert options["num_replicas"] == 3
    assert "autoscaling_config" not in options


def test_what_ray_is_handed_is_no_part_of_the_catalogue() -> None:
    spec = expert_spec(resources={"custom": {"neuron_cores": 2}})
    deployment_options(spec)["ray_actor_options"]["resources"]["neuron_cores"] = 9
    assert spec.resources.custom == {"neuron_cores": 2}


def test_an_engine_without_weights_gets_none() -> None:
    assert find_weights(expert_spec()) is None


def test_weights_are_found_with_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="needs the [cpu] extra")
    from tests.experts.tiny_model import write_base

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = write_base(tmp_path / "base.gguf")
    weights = find_weights(expert_spec(engine="openvino", base=str(base)))
    assert weights is not None
    assert (Path(weights.path).resolve(), weights.sha256) == (base, hash_content(base))
