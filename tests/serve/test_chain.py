"""Two gateways in a chain: behind the near one's coder, an `upstream` replica, stands a whole gateway with keys."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from experts.cluster.deployment import ExpertDeployment
from experts.engine import EngineError
from experts.engines.factory import build_engine
from protos import expert_pb2 as pb
from serve.access.keys import new_key
from serve.app import App
from serve.settings.tree import load_settings
from tests.experts.entries import expert_spec
from tests.fakes.expert_server import FakeExperts
from tests.fakes.openai_server import FakeOpenAI, Refusal, event, openai_server, words
from tests.helpers import CHAT, until
from tests.serve.conftest import NAMES

ASK = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
KEY, DIGEST = new_key()


class Chained(FakeExperts):
    """The coder is a replica in front of another server."""

    async def begin(self, base_url: str, **options: Any) -> None:
        options = {"base_url": base_url, "model": "coder", "api_key_env": "FAR_KEY"} | options
        spec = expert_spec(name="coder", engine="upstream", engine_options=options, max_batch_size=8)
        self.engine = build_engine(spec, None)
        self.replica = ExpertDeployment(spec, lambda _: self.engine)
        await self.replica.check_health()
        await self.start()

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> AsyncIterator[pb.GenerateChunk]:
        called = self.replica if (await self._script(context)) is self["coder"] else super()
        try:
            async with aclosing(called.Generate(request, context)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineError:
            await context.abort(context.code(), context.details())  # Ray sends what the replica has set; grpc.aio not


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)


@asynccontextmanager
async def near(catalog_file: Path, base_url: str, **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A gateway whose coder is behind a server; returns a client of it."""
    async with AsyncExitStack() as stack:
        experts = Chained(*NAMES)
        await experts.begin(base_url, **options)
        stack.push_async_callback(experts.stop)
        stack.push_async_callback(experts.engine.stop)
        app = App(settings(catalog_file, experts))
        await app.start()
        stack.push_async_callback(app.stop)
        client = httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=20)
        yield await stack.enter_async_context(client)


def settings(catalog_file: Path, experts: FakeExperts, **sections: Any) -> Any:
    served = {"catalog": catalog_file, "target": experts.target, "probe_interval_s": 60}
    base = {"http": {"port": 0}, "grpc": {"port": 0}, "experts": served, "shutdown_grace_s": 0.2}
    return load_settings(overrides=base | sections)


@pytest.fixture
async def far(catalog_file: Path) -> AsyncIterator[tuple[App, FakeExperts]]:
    experts = FakeExperts(*NAMES)
    await experts.start()
    app = App(settings(catalog_file, experts, access={"keys": [{"name": "near", "sha256": DIGEST}]}))
    await app.start()
    yield app, experts
    await app.stop()
    await experts.stop()


async def test_an_answer_comes_through_both(far: tuple[App, FakeExperts], catalog_file: Path) -> None:
    app, experts = far
    async with near(catalog_file, f"http://{app.http_address}/v1") as client:
        answer = (await client.post(CHAT, json=ASK)).json()
        assert answer["choices"][0]["message"]["content"] == "Hello there!"
        assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (7, 3)
        assert "estimated" not in answer["usage"]
        experts["coder"].words = ["<tool_call>", '{"name": "f", "arguments": {"a": 1}}', "</tool_call>"]
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        answer = (await client.post(CHAT, json={**ASK, "tools": tools})).json()
        [call] = answer["choices"][0]["message"]["tool_calls"]
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("f", {"a": 1})
        assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_client_that_leaves_the_near_one_frees_the_far_ones_expert(
    far: tuple[App, FakeExperts], catalog_file: Path
) -> None:
    app, experts = far
    experts["coder"].words, experts["coder"].gap_s = ["a"] * 10_000, 0.01
    async with near(catalog_file, f"http://{app.http_address}/v1") as client:
        for _ in range(10):
            async with client.stream("POST", CHAT, json={**ASK, "stream": True}) as response:
                async for line in response.aiter_lines():
                    if '"content":"a' in line:
                        break
            await until(lambda: experts["coder"].live == 0)
        assert len(experts["coder"].requests) == 10


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (Refusal(400), 400, "invalid_value"),
        (Refusal(400, {"error": {"message": "m", "code": "context_length_exceeded"}}), 400, "context_length_exceeded"),
        (Refusal(401), 503, "expert_unavailable"),
        (Refusal(429, headers={"retry-after": "1"}), 429, "overloaded"),
        (Refusal(503), 503, "expert_unavailable"),
        ([event("half")], 502, "expert_failed"),
    ],
)
async def test_what_goes_wrong_behind_is_told_in_our_words(
    script: Any, status: int, code: str, catalog_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with openai_server(FakeOpenAI(script)) as server, near(catalog_file, server.base_url) as client:
        response = await client.post(CHAT, json=ASK)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert KEY not in response.text + caplog.text
    assert "no: hello" not in response.text + caplog.text


async def test_estimated_usage_is_marked_for_the_client_and_in_the_log(
    catalog_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with openai_server(FakeOpenAI(words("a b c"))) as server, near(catalog_file, server.base_url) as client:
        with caplog.at_level("INFO", "moegate.request"):
            answer = (await client.post(CHAT, json=ASK)).json()
            await until(lambda: any(hasattr(line, "usage_estimated") for line in caplog.records))
    assert answer["usage"]["estimated"] is True
    assert answer["usage"]["completion_tokens"] >= 1
