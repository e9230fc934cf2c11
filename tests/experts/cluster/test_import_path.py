"""An expert by import path, as RayService on Kubernetes builds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experts.cluster.import_path import build, build_encoder, build_engine_here
from experts.encoders.encoder import Role
from experts.engines.echo import EchoEngine
from experts.engines.factory import UnsupportedEngine
from tests.experts.encoders.tiny_encoder import WIDTH, write_encoder
from tests.experts.entries import expert_spec

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported


def test_importing_it_does_not_import_ray() -> None:
    code = "import sys, experts.cluster.import_path; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_entry_that_could_not_start_is_refused_when_it_is_built() -> None:
    args = {"spec": json.loads(expert_spec(engine_options={"itl": 1}).model_dump_json())}
    with pytest.raises(UnsupportedEngine, match=r"'parrot': engine_options: itl: "):
        build(args)


def test_an_entry_becomes_an_application_of_one_deployment() -> None:
    """The entry comes as JSON made it, and reaches the replica whole."""
    ray_serve = pytest.importorskip("ray.serve")
    spec = expert_spec(max_batch_size=3, scaling={"min_replicas": 0, "max_replicas": 2})
    application = build({"spec": json.loads(spec.model_dump_json())})
    assert isinstance(application, ray_serve.Application)
    deployment = application._bound_deployment  # Ray has no public way to look at it
    assert (deployment.name, deployment.init_args) == ("expert", (spec, build_engine_here))
    assert deployment.max_ongoing_requests == 3 + 32 + 16


async def test_a_replica_builds_its_own_engine() -> None:
    engine = build_engine_here(expert_spec(max_batch_size=3))
    assert isinstance(engine, EchoEngine)
    assert engine.capabilities.max_batch_size == 3


def test_the_encoder_becomes_an_application_whose_replicas_find_their_model_themselves() -> None:
    ray_serve = pytest.importorskip("ray.serve")
    application = build_encoder({"base": "hf:owner/small", "collections": "s3://bucket/collections"})
    assert isinstance(application, ray_serve.Application)
    deployment = application._bound_deployment  # Ray has no public way to look at it
    name, load, searcher = deployment.init_args
    assert (deployment.name, name) == ("encoder", "small")
    assert (load.args, searcher.args) == (("hf:owner/small",), ("s3://bucket/collections",))
    assert build_encoder({"base": "hf:owner/small"})._bound_deployment.init_args[2] is None


def test_a_replica_of_the_encoder_loads_the_model_that_its_machine_has(tmp_path: Path) -> None:
    model = write_encoder(tmp_path / "tiny-encoder")
    name, load, _ = build_encoder({"base": str(model)})._bound_deployment.init_args
    assert name == "tiny-encoder"
    assert load().encode(["red"], Role.QUERY).pooled.shape == (1, WIDTH)
