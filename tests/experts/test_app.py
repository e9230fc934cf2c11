"""The start code's own decisions; what it starts is tested against a real cluster in tests/integration."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from experts.app import Events, choose_experts
from experts.catalog.spec import CatalogError, load_catalog
from experts.engines.factory import UnsupportedEngine


def test_importing_it_does_not_import_ray() -> None:
    import subprocess

    code = "import sys, experts.app; sys.exit(any(name.split('.')[0] == 'ray' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_an_encoder_needs_is_not_imported_without_one() -> None:
    """Nor by the experts' process, which is told to start none, nor by the gateway."""
    import subprocess

    code = (
        "import sys, experts.app, serve.app; from experts.cluster.encoder_application import find_encoder;"
        "assert find_encoder(None, 's3://bucket/collections') is None;"
        "sys.exit(bool({'openvino', 'tokenizers', 'lancedb', 'pyarrow', 'qdrant_client'} & set(sys.modules)))"
    )
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


def test_events_are_json_lines() -> None:
    stream = StringIO()
    Events(stream).emit("expert", expert="a", seconds=1.5)
    assert json.loads(stream.getvalue()) == {"event": "expert", "expert": "a", "seconds": 1.5}
