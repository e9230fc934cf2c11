"""The selector can be fitted anew: sources are read, pools are drawn, weights find what was needed."""

import json
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router.errors import DatasetError
from router.evaluation import tool_selection as evaluation
from router.evaluation.tool_selection import wilson
from router.tools.likeness import LIKENESS, likeness
from router.tools.selector import read_selector
from router.training.tool_pools import pools
from router.training.tool_selection import calibrate, fit, floor_of, main, margins_of
from router.training.tool_sources import Source, read_source
from tests.fakes.embedding_server import EmbeddingServer

THINGS = ("weather", "flight", "music", "garage", "currency", "recipe", "invoice", "hotel", "river", "planet")
DEEDS = ("find", "cancel", "describe", "sell")


def function(name: str, about: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"which": {"type": "string"}}, "required": ["which"]}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


ALL = [function(f"{deed}_{thing}", f"{deed} a {thing} of the user") for deed in DEEDS for thing in THINGS]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def embeddings() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four sources of one kind of request, each in its authors' shape."""
    asked = [(f"Please {deed} the {thing}", f"{deed}_{thing}") for deed in DEEDS for thing in THINGS]
    talk = [{"messages": [{"role": "user", "content": words}], "tools": ALL} for words, _ in asked]
    bfcl = [
        {**row, "category": "simple", "ground_truth": [{gold: {}}]} for row, (_, gold) in zip(talk, asked, strict=True)
    ]
    bfcl.append({"category": "irrelevance", "messages": [], "tools": [], "ground_truth": []})
    seal = [{**row, "calls": [{"name": gold, "arguments": {}}]} for row, (_, gold) in zip(talk, asked, strict=True)]
    services = [{"service": "S", "functions": [tool["function"] for tool in ALL]}]
    sgd = [
        {"messages": row["messages"], "calls": [{"service": "S", "name": gold}]}
        for row, (_, gold) in zip(talk, asked, strict=True)
    ]
    plain = [{"query": words, "tools": ALL, "plan": [{"tool": gold}]} for words, gold in asked]
    write(tmp_path / "sgd_tools_services.jsonl", services)
    metatools = [{"name": tool["function"]["name"], "description": tool["function"]["description"]} for tool in ALL]
    write(tmp_path / "metatool_tools.jsonl", metatools)
    return [
        write(tmp_path / "bfcl.jsonl", bfcl),
        write(tmp_path / "seal_dev.jsonl", seal),
        write(tmp_path / "sgd_tools.jsonl", sgd),
        write(tmp_path / "metatool_one.jsonl", [{"query": words, "tool": gold} for words, gold in asked]),
        write(tmp_path / "other.jsonl", plain),
    ]


def test_each_shape_is_read(files: list[Path]) -> None:
    sources = [source for path in files for source in read_source(path)]
    assert [source.group for source in sources] == ["bfcl", "seal", "sgd", "metatool", "other"]
    assert sources[0].name == "bfcl_simple"
    for source in sources:
        assert len(source.asked) == len(ALL) == len(source.tools)
        assert all(one.gold <= source.tools.keys() for one in source.asked)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="another shape"):
        read_source(write(tmp_path / "seal_x.jsonl", [{"calls": 3}]))


def test_a_pool_holds_what_is_needed_and_strangers(files: list[Path]) -> None:
    sources = [source for path in files for source in read_source(path)]
    strangers = Source("x", "x", [], {f"x{n}": tool for n, tool in enumerate(sources[0].tools.values())})
    drawn = list(pools(sources[0], [*sources, strangers], sizes=[30], limit=12, seed=0))
    assert len(drawn) == 12
    for one in drawn:
        assert (one.index.size, int(one.needed.sum())) == (30, 1)
    again = list(pools(sources[0], [*sources, strangers], sizes=[30], limit=12, seed=0))
    assert [tool.name for tool in again[0].tools] == [tool.name for tool in drawn[0].tools]


def test_what_is_fitted_finds_what_is_needed(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "selector.json"
    assert main(["--data", *map(str, files), "--limit", "20", "--out", str(out)]) == 0
    selector = read_selector(out)
    (source,) = read_source(files[0])
    drawn = list(pools(source, [source], sizes=[40], limit=20, seed=3))
    found = [bool(one.needed[int((one.numbers() @ selector.words.weights).argmax())]) for one in drawn]
    assert np.mean(found) > 0.9
    assert sorted(selector.words.margins) == [0.9, 0.95, 0.97, 0.98, 0.99]
    assert (selector.encoded, selector.encoder) == (None, None)


def test_a_second_head_hears_an_encoder(files: list[Path], tmp_path: Path, embeddings: EmbeddingServer) -> None:
    out = tmp_path / "selector.json"
    assert main(["--data", *map(str, files), "--limit", "20", "--encoder", embeddings.url, "--out", str(out)]) == 0
    selector = read_selector(out)
    assert selector.encoder == "by-letters"
    assert selector.encoded is not None
    assert sorted(selector.encoded.floors) == [0.9, 0.95, 0.97, 0.98, 0.99]


def test_the_floor_lifts_the_worst_group_to_the_recall() -> None:
    weights, rng = np.array([1.0]), np.random.default_rng(0)
    rows = []
    for _ in range(200):
        near = rng.normal(size=(40, 1)).astype(np.float32)
        needed = np.zeros(40, dtype=np.bool_)
        needed[rng.integers(40)] = True
        rows.append((near, needed))
    for recall in (0.5, 0.9):
        floor = floor_of(rows, weights, 0.1, recall)
        kept = [
            bool(needed[np.argsort(-near[:, 0])[: ceil(floor * 40)]].any() or near[needed].max() >= near.max() - 0.1)
            for near, needed in rows
        ]
        assert recall <= np.mean(kept) <= recall + 0.05


def test_margins_are_measured_on_the_group_that_is_left_out(files: list[Path]) -> None:
    groups = {}
    for path in files[:3]:
        (source,) = read_source(path)
        drawn = pools(source, [source], sizes=[40], limit=15, seed=0)
        groups[source.group] = [(likeness(one.question, one.index), one.needed) for one in drawn]
    for found in calibrate(groups):
        assert list(found.values()) == sorted(found.values())
    weights = fit([rows for name, rows in groups.items() if name != "seal"])
    assert weights.shape == (len(LIKENESS),)
    assert (margins_of(groups["seal"], weights) >= 0).all()


@pytest.mark.parametrize("is_heard", [False, True])
def test_the_evaluation_judges_without_the_own_group(
    files: list[Path], capsys: pytest.CaptureFixture[str], embeddings: EmbeddingServer, is_heard: bool
) -> None:
    paths = list(map(str, files[:3]))
    options = ["--data", *paths, "--train", *paths, "--pool", "40", "--limit", "15", "--recall", "0.9", "--json"]
    assert evaluation.main([*options, *(["--encoder", embeddings.url] if is_heard else [])]) == 0
    assert bool(embeddings.asked) is is_heard
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["sources"]
    assert set(told) == {"bfcl_simple", "seal_dev", "sgd_tools"}
    for figures in told.values():
        assert figures["n"] == 15
        assert figures["whole"]["value"] >= 0.8
        assert 0 < figures["characters"] <= 1
        assert figures["latency_us"]["p50"] > 0


@pytest.mark.parametrize(("share", "n", "low", "high"), [(0.5, 100, 0.4038, 0.5962), (1.0, 60, 0.9398, 1.0)])
def test_intervals(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx([low, high], abs=1e-3)
