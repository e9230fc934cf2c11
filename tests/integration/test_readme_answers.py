"""README's examples, asked of the experts that ship: what `auto` chooses answers right, with its own sampling.

Real weights behind the router and the rendering that serve; Ray and gRPC are left out. Where an expert samples, several
seeds must all be right: an example that works now and then is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import ExpertSpec, load_catalog
from experts.compilation.prepare import prepare_expert
from experts.conversation.sampling import resolve_sampling
from experts.engine import Sampling
from experts.engines.factory import build_engine
from experts.engines.wire import Weights
from experts.evaluation.engine_client import Answer, ask, running
from experts.evaluation.suites.fences import fenced_blocks
from protos import chat_pb2
from router.router import Router
from serve.app import load_router
from serve.routing.expert_states import idle_states
from serve.routing.query import route_query
from serve.settings.tree import load_settings

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)
README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
WEATHER = chat_pb2.Tool(
    name="get_weather",
    description="The weather in a city",
    parameters_json=json.dumps({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def said(text: str, **parts: Any) -> chat_pb2.Conversation:
    assert text in README, "README asks something else by now"
    return chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)], **parts)


@pytest.fixture(scope="module")
def router() -> Router:
    return load_router(load_settings(None).router, load_catalog())


@pytest.fixture(scope="module")
def answers(router: Router) -> Iterator[Any]:
    """Return what asks a conversation of the expert that the router chooses, once for each seed."""
    pytest.importorskip("openvino_genai")

    def of(conversation: chat_pb2.Conversation) -> tuple[str, list[Answer]]:
        spec = chosen(router, conversation)
        try:
            found = prepare_expert(spec, "cpu", ArtifactStore(default_root()))
        except BaseUnavailable as error:
            pytest.skip(f"the base is not here: {error}")
        is_exact = conversation.response_format.type != chat_pb2.ResponseFormat.TYPE_TEXT
        samplings = [
            resolve_sampling(chat_pb2.Sampling(seed=seed, max_tokens=200), spec, is_exact=is_exact) for seed in SEEDS
        ]
        return spec.name, asyncio.run(_ask(spec, Weights(str(found.path), found.sha256), conversation, samplings))

    yield of


async def _ask(
    spec: ExpertSpec, weights: Weights, conversation: chat_pb2.Conversation, samplings: list[Sampling]
) -> list[Answer]:
    engine = build_engine(spec, weights)
    async with running(engine):
        return list(await asyncio.gather(*(ask(engine, spec, conversation, sampling) for sampling in samplings)))


def chosen(router: Router, conversation: chat_pb2.Conversation) -> ExpertSpec:
    catalog = load_catalog()
    states = idle_states(catalog, chat_pb2.Sampling(), conversation.response_format)
    spec = catalog.get(router.route(route_query(conversation), states).expert)
    assert spec is not None
    return spec


def test_the_weather_tool_is_called_for_oslo(answers: Any) -> None:
    must = chat_pb2.ToolChoice(mode=chat_pb2.ToolChoice.MODE_REQUIRED)
    name, found = answers(said("What is the weather in Oslo?", tools=[WEATHER], tool_choice=must))
    assert name == "tool-caller"
    for answer in found:
        [call] = answer.reply.calls
        assert (call.name, call.arguments) == ("get_weather", {"city": "Oslo"})


def test_the_towers_year_is_found_and_cited(answers: Any) -> None:
    document = chat_pb2.Document(title="Tower", text="The tower opened in 1889.")
    name, found = answers(said("When was the tower opened?", documents=[document]))
    assert name == "researcher"
    for answer in found:
        assert "1889" in answer.reply.text
        assert "[1]" in answer.reply.text


def test_ann_is_31(answers: Any) -> None:
    form = chat_pb2.ResponseFormat(type=chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(PERSON))
    name, found = answers(said("Ann is 31 years old.", response_format=form))
    assert name == "tool-caller"  # the form decides, and not the words alone
    assert [json.loads(answer.reply.text) for answer in found] == [{"name": "Ann", "age": 31}] * len(SEEDS)


def test_the_reversed_string_runs(answers: Any) -> None:
    name, found = answers(said("Write a Python function that reverses a string."))
    assert name == "coder"
    for answer in found:
        [block] = fenced_blocks(answer.reply.text)
        names: dict[str, Any] = {}
        exec(compile(block.code, "<answer>", "exec"), names)
        functions = [value for key, value in names.items() if callable(value) and not key.startswith("__")]
        assert any(_reverses(function) for function in functions), block.code


def _reverses(function: Any) -> bool:
    try:
        return bool(function("stressed") == "desserts")
    except TypeError:
        return False


def test_17_and_25_are_42(answers: Any) -> None:
    _, found = answers(said("What is 17 + 25?"))
    for answer in found:
        assert "42" in answer.reply.text


@pytest.mark.parametrize("text", ["Who was Ada Lovelace?"])
def test_a_plain_question_gets_no_word_of_documents(answers: Any, text: str) -> None:
    _, found = answers(said(text))
    for answer in found:
        assert answer.reply.text.strip()
        assert "document" not in answer.reply.text.lower()
        assert "[1]" not in answer.reply.text
