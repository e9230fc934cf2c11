"""A few tens of strict schemas through the replica's own code and its real engine; the whole run is a load test."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import load_catalog
from experts.engines.wire import Weights
from loadtests.schema_pairs import draw_pair
from loadtests.strict_schemas import Result, _kept, ask_all, figures


@pytest.mark.slow
def test_no_answer_that_is_presented_as_success_breaks_its_schema(tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    spec = load_catalog().get("generalist")
    assert spec is not None
    try:
        base = resolve_base(spec.base, ArtifactStore(default_root()))
    except BaseUnavailable as error:
        pytest.skip(f"the base is not here: {error}")
    pairs = [draw_pair(5, number) for number in range(33)]
    kept = tmp_path / "answers.jsonl"
    with kept.open("w") as out:
        weights = Weights(str(base.path), base.sha256)
        results = asyncio.run(ask_all(spec, weights, pairs, out, max_tokens=120))
    found = figures(results)
    assert found["invalid_successes"] == 0, results
    assert found["successes"] >= 30, results
    simple = [result for result in results if result.kind in ("number", "integer")]
    assert all(result.is_unchanged for result in simple), simple
    assert _kept(kept) == {result.number: result for result in results}


def test_figures() -> None:
    def result(number: int, *, success: bool, valid: bool, same: bool) -> Result:
        return Result(number, "text", success, valid, same, "ok", "")

    results = [
        result(0, success=True, valid=True, same=True),
        result(1, success=True, valid=False, same=False),
        result(2, success=False, valid=False, same=False),
    ]
    found = figures(results)
    assert (found["successes"], found["invalid_successes"], found["unchanged"]) == (2, 1, 1)
