"""The example catalogues: each loads, its options are the engine's, and it holds no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from experts.catalog.spec import load_catalog
from experts.cluster.manifests import serve_config
from experts.engines.factory import build_engine, check_engine
from experts.engines.upstream.options import UpstreamOptions

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))


def test_there_is_one_for_each_neighbour() -> None:
    assert {path.stem for path in EXAMPLES} == {"vllm", "ollama", "bedrock", "chain"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_could_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = load_catalog(path)
    for spec in catalog.experts:
        check_engine(spec)
        options = UpstreamOptions.model_validate(spec.engine_options)
        if options.api_key_env is not None:
            monkeypatch.setenv(options.api_key_env, "sk-test-key")
        assert build_engine(spec, None).capabilities.max_batch_size == spec.max_batch_size
    assert "sk-test-key" not in str(serve_config(catalog))
