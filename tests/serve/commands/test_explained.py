"""`moegate route` decides as the gateway does, and says so."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import yaml

from experts.catalog.spec import load_catalog
from protos import chat_pb2 as chat
from router.features.featurize import query_from_openai
from router.router import Router
from serve.app import App, load_router
from serve.cli import main
from serve.commands.explained import explain_request
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.routing.expert_states import idle_states
from serve.settings.tree import RouterSettings

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {"type": "object"}},
}
USER = {"role": "user", "content": "is it raining in Bergen?"}
BODIES: dict[str, dict[str, Any]] = {
    "plain": {"messages": [{"role": "user", "content": "Who wrote War and Peace?"}]},
    "system": {
        "messages": [{"role": "system", "content": "You are a SQL assistant."}, {"role": "user", "content": "orders"}]
    },
    "developer": {
        "messages": [{"role": "developer", "content": "You are a poet."}, {"role": "user", "content": "tulips"}]
    },
    "tools": {"messages": [USER], "tools": [TOOL]},
    "tools that may not be called": {"messages": [USER], "tools": [TOOL], "tool_choice": "none"},
    "a tool that must be called": {"messages": [USER], "tools": [TOOL], "tool_choice": "required"},
    "documents": {"messages": [USER], "documents": [{"title": "Log", "text": "It rained on Friday. " * 40}]},
    "follow-up": {
        "messages": [
            {"role": "user", "content": "write a python function that sorts words"},
            {"role": "assistant", "content": "```python\nsorted(words)\n```", "name": "coder"},
            {"role": "user", "content": "shorter"},
        ]
    },
    "pinned": {"model": "advisor", "messages": [USER]},
    "cheap": {"messages": [USER], "quality_cost": 1.0},
    "longer than the context window": {"messages": [{"role": "user", "content": "who was it? " * 2_000}]},
    "at the edge of the window": {"messages": [{"role": "user", "content": "why " * 999}]},
    "an unusual setting": {"messages": [USER], "frequency_penalty": 0.5},
}


@pytest.mark.parametrize("name", BODIES)
async def test_it_decides_as_the_gateway_does(app: App, http: httpx2.AsyncClient, name: str) -> None:
    body = BODIES[name]
    decision = app.gateway.route(_request(body))
    catalog = app.gateway.catalog
    explained = explain_request(
        parse(ChatCompletionBody, orjson.dumps(body)), catalog, load_router(RouterSettings(), catalog), RouterSettings()
    ).decision
    assert explained.ranking == decision.ranking
    assert explained.reason == decision.reason


def _request(body: dict[str, Any]) -> Any:
    from serve.request import ChatRequest

    read = parse(ChatCompletionBody, orjson.dumps(body))
    from serve.request import CallerPreferences

    return ChatRequest(
        id="1", request_id="1", door="http", model=read.model, input=read.to_input(), sampling=read.to_sampling(),
        is_stream=False, received_at=0.0, deadline=1e9,
        preferences=CallerPreferences(read.quality_cost, read.ttft_target_ms),
    )  # fmt: skip


def test_a_request_file_is_routed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "body.json"
    path.write_bytes(orjson.dumps(BODIES["tools"]))
    assert main(["route", "--request", str(path), "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["expert"] == "tool-caller"


def test_a_system_prompt_is_routed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "top 10 customers by revenue", "--system", "You are a SQL assistant.", "--json"]) == 0
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["expert"] == "coder"
    assert any(part["feature"] == "[the system prompt]" for part in answer["experts"][0]["top_features"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"{", "not valid JSON"), (b"[]", "JSON object"), (b"{}", "messages"), (b'{"messages": [{"role": "x"}]}', "role")],
)
def test_a_file_that_is_no_request_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    path = tmp_path / "body.json"
    path.write_bytes(content)
    assert main(["route", "--request", str(path)]) == 1
    said = capsys.readouterr().err
    assert complaint in said and str(path) in said and said.count("\n") == 1


def test_a_text_or_a_request_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route"]) == 1
    assert "--request" in capsys.readouterr().err


def test_people_are_told_what_the_probabilities_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Who wrote War and Peace?"]) == 0
    assert "need not sum to 1" in capsys.readouterr().out


def test_two_processes_show_the_same_features() -> None:
    command = [sys.executable, "-m", "serve.cli", "route", "Why do we have leap years in 2024?", "--json"]
    shown = []
    for seed in ("1", "2"):
        done = subprocess.run(
            command, capture_output=True, check=True, env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin"}
        )
        shown.append(orjson.loads(done.stdout))
        shown[-1].pop("microseconds")
    assert shown[0] == shown[1]


def _renamed(tmp_path: Path, names: list[str], default: str) -> Path:
    entry = {
        "description": "plays a part", "base": "some/where", "engine": "echo", "context_window": 1000,
        "licence": "Apache-2.0", "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
    }  # fmt: skip
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": default, "experts": [{"name": name, **entry} for name in names]}))
    return path


@pytest.mark.parametrize("text", ["Who wrote it?", "write a python function", "zzkp vlorr", "2+2", "写一首诗", ""])
def test_with_all_experts_renamed_the_catalogues_default_answers(tmp_path: Path, text: str) -> None:
    catalog = load_catalog(_renamed(tmp_path, ["alpha", "beta", "gamma"], "beta"))
    router = load_router(RouterSettings(), catalog)
    decision = router.route(
        query_from_openai([{"role": "user", "content": text}]),
        idle_states(catalog, chat.Sampling(), chat.ResponseFormat()),
    )
    assert (decision.expert, decision.reason) == ("beta", "abstained")
    assert router.coverage(catalog.names).unknown_experts == ("alpha", "beta", "gamma")


@pytest.mark.parametrize(
    ("text", "expert"),
    [
        ("write a python function that sorts words", "coder"),
        ("Who wrote War and Peace?", "generalist"),
        ("Write a warm letter to my aunt about her garden.", "generalist"),
        ("What is the value of 2+2?", "generalist"),
    ],
)
def test_with_two_experts_left_every_request_is_answered_sensibly(tmp_path: Path, text: str, expert: str) -> None:
    catalog = load_catalog(_renamed(tmp_path, ["coder", "generalist"], "generalist"))
    router = load_router(RouterSettings(), catalog)
    decision = router.route(
        query_from_openai([{"role": "user", "content": text}]),
        idle_states(catalog, chat.Sampling(), chat.ResponseFormat()),
    )
    assert decision.expert == expert
    assert set(router.coverage(catalog.names).classes_without_expert) == {"advisor", "researcher", "tool-caller"}


async def test_ready_tells_of_gaps(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/ready")).json()["router"] == {"unknown_experts": [], "classes_without_expert": []}


def test_gaps_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    from serve.parts import warn_of_gaps

    coverage = Router.load().coverage(["coder", "cook"])
    warn_of_gaps(coverage)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert coverage.unknown_experts == ("cook",)
