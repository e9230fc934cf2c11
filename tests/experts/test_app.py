"""The start code's own decisions; what it starts is tested against a real cluster in tests/integration."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from experts.app import Events, choose_experts
from experts.catalog.spec import CatalogError, Resources, Scaling, load_catalog
from experts.cluster.deployment_options import deployment_options
from experts.engines.factory import UnsupportedEngine


def test_importing_it_does_not_import_ray() -> None:
    import subprocess

    code = "import sys, experts.app; sys.exit(any(name.split('.')[0] == 'ray' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_experts_or_the_named_ones() -> None:
    assert [spec.name for spec in choose_experts(None, [], None)] == list(load_catalog().names)
    assert [spec.name for spec in choose_experts(None, ["coder"], None)] == ["coder"]
    with pytest.raises(CatalogError, match="no such expert: nobody"):
        choose_experts(None, ["nobody"], None)


def test_one_engine_for_all() -> None:
    assert {spec.engine for spec in choose_experts(None, [], "echo")} == {"echo"}


@pytest.mark.parametrize(("engine", "words"), [("neuron", "neuron"), ("echo", "engine_options: itl: ")])
def test_what_could_not_start_is_refused_at_once(tmp_path: Path, engine: str, words: str) -> None:
    catalog = tmp_path / "experts.yaml"
    price = "{usd_per_million: {prompt: 1, completion: 1}}"
    catalog.write_text(
        f"default: a\nexperts: [{{name: a, description: d, base: x, context_window: 9, licence: MIT, price: {price}, "
        f"engine: {engine}, engine_options: {{itl: 3}}}}]\n"
    )
    with pytest.raises(UnsupportedEngine, match=words):
        choose_experts(catalog, [], None)


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


def test_events_are_json_lines() -> None:
    stream = StringIO()
    Events(stream).emit("expert", expert="a", seconds=1.5)
    assert json.loads(stream.getvalue()) == {"event": "expert", "expert": "a", "seconds": 1.5}
