"""Rows of plans out of sources held out: references stand where the source's own order wants them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.plan_graph import graph_of
from experts.evaluation.suites.plans import PlanSuite, wanted_steps
from experts.evaluation.suites.rows import read_rows
from experts.training.make_plans import main, path_plan, path_tool


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


def needs(*paths: str) -> list[list[int]]:
    """Return which earlier steps, from 1, each step of a plan needs."""
    steps = [(step["id"], step["tool"], step["args"]) for step in path_plan(paths)]
    return [sorted(place + 1 for place in needed) for needed in graph_of(steps).needs]


@pytest.mark.parametrize(
    ("paths", "edges"),
    [
        (["GET /search/movie", "GET /movie/{movie_id}/credits"], [[], [1]]),
        (["GET /search/tv", "GET /tv/{tv_id}", "GET /network/{network_id}/images"], [[], [1], [2]]),
        (["GET /search/movie", "GET /movie/{movie_id}/similar", "GET /movie/{movie_id}/reviews"], [[], [1], [2]]),
        (["GET /search/movie", "GET /movie/{movie_id}/reviews", "GET /movie/{movie_id}/credits"], [[], [1], [1]]),
        (["GET /search/tv", "GET /search/movie", "GET /movie/{movie_id}", "GET /tv/{tv_id}"], [[], [], [2], [1]]),
        (["GET /movie/popular", "GET /movie/{movie_id}/credits", "GET /person/{person_id}"], [[], [1], [2]]),
        (["GET /trending/{media_type}/{time_window}", "GET /tv/{tv_id}/credits"], [[], [1]]),
        (["GET /tv/{tv_id}"], [[]]),
    ],
)
def test_a_step_needs_the_one_that_finds_what_it_is_about(paths: list[str], edges: list[list[int]]) -> None:
    assert needs(*paths) == edges


def test_a_path_is_a_tool_with_the_parameters_of_its_path() -> None:
    function = path_tool("GET /tv/{tv_id}/season/{season_number}")["function"]
    assert (function["name"], function["description"]) == ("get_tv_season", "GET /tv/{tv_id}/season/{season_number}")
    assert (
        list(function["parameters"]["properties"]) == function["parameters"]["required"] == ["tv_id", "season_number"]
    )
    assert path_tool("GET /search/tv")["function"]["parameters"]["required"] == ["query"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    solutions = [[f"GET /search/{kind}", f"GET /{kind}/{{{kind}_id}}"] for kind in ("movie", "tv", "person")]
    rows = [{"api": "tmdb", "query": f"Find {n}", "solution": [*paths, ""][:2]} for n, paths in enumerate(solutions)]
    spotify = {"api": "spotify", "query": "Play it", "solution": ["PUT /me/player/play"]}
    write(tmp_path / "planner" / "restbench_queries.jsonl.gz", [*rows, spotify])
    calls = [
        {"name": "list", "arguments": {"of": "API_call_7", "most": 2}},
        {"name": "sum", "arguments": {"what": "API_call_0 and API_call_1"}},
    ]
    tools = [{"function": {"name": name, "parameters": {}}} for name in ("list", "sum")]
    said = [{"role": "user", "content": "List and sum"}]
    seal = [{"id": f"{n}", "messages": said, "tools": tools, "calls": calls[: n + 1]} for n in range(2)]
    write(tmp_path / "tool-caller" / "seal_tools_out_domain_eval.jsonl.gz", seal)
    return tmp_path


@pytest.mark.parametrize(("source", "count"), [("restbench", 3), ("seal", 1)])
def test_rows_are_what_the_suite_reads(source: str, count: int, data: Path) -> None:
    out = data / "rows.jsonl"
    assert main(["--source", source, "--data", str(data), "--out", str(out)]) == 0
    rows = read_rows(out)
    assert len(rows) == count
    for row in rows:
        case = PlanSuite().read(row, 0)
        offered = {tool.name for tool in case.conversation.tools}
        assert {tool for _, tool, _ in wanted_steps(row, "")} <= offered
        assert case.conversation.plan


def test_references_are_to_earlier_calls_alone(data: Path) -> None:
    out = data / "rows.jsonl"
    main(["--source", "seal", "--data", str(data), "--out", str(out)])
    [row] = read_rows(out)
    assert [step["args"] for step in row["plan"]] == [
        {"of": "API_call_7", "most": 2},
        {"what": "$1 and API_call_1"},
    ]
