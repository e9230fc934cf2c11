"""An expert that is busy says so, and is waited for; one that hangs is silent, and is not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from experts.cluster.deployment import ExpertDeployment
from experts.engines.echo import EchoEngine
from protos import expert_pb2 as pb
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

PINNED = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
Sample = Callable[..., float]
impatient = pytest.mark.parametrize("overrides", [{"dispatch": {"patience_s": 0.5, "retries": 0}}])


@impatient
@pytest.mark.parametrize("begin_after_s", [0.0, None])
async def test_who_says_that_it_is_at_work_is_waited_for(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample, begin_after_s: float | None
) -> None:
    coder = experts["coder"]
    coder.first_s, coder.beat_s, coder.begin_after_s = 1.5, 0.1, begin_after_s
    response = await http.post(CHAT, json=PINNED)
    assert response.status_code == 200
    assert response.json()["usage"]["prompt_tokens"] == 7, "told after the heartbeats, or before them"
    assert sample("moegate_circuit_state", expert="coder") == 0


@impatient
async def test_who_took_a_request_on_and_hangs_is_given_up(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].first_s = 5
    response = await http.post(CHAT, json=PINNED)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
    assert "fell silent" in response.json()["error"]["message"]
    experts["coder"].silent_s = 5
    assert "did not take" in (await http.post(CHAT, json=PINNED)).json()["error"]["message"]


@impatient
async def test_heartbeats_end_with_the_engine(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    """It was at work for a while, then hung: that is silence from then on."""
    experts["coder"].first_s, experts["coder"].beat_s, experts["coder"].gap_s = 0.4, 0.1, 5
    async with http.stream("POST", CHAT, json={**PINNED, "stream": True}) as response:
        assert response.status_code == 200
        assert "expert_stalled" in (await response.aread()).decode()


class Crowded(FakeExperts):
    """The coder is a whole replica with one slot and a queue."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        spec = ExpertSpec(
            name="coder",
            description="is slow",
            base="pypi:none",
            engine="echo",
            context_window=8192,
            max_batch_size=1,
            max_queue_len=8,
            licence="MIT",
            price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
            engine_options={"ttft_s": 0.3, "tokens": 2},
        )
        self.replica = ExpertDeployment(spec, EchoEngine)

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> AsyncIterator[pb.GenerateChunk]:
        if (await self._script(context)) is not self["coder"]:
            async for chunk in super().Generate(request, context):
                yield chunk
            return
        async for chunk in self.replica.Generate(request, context):
            yield chunk


class TestCrowd:
    @pytest.fixture
    async def experts(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeExperts]:
        for module in ("echo", "slots"):
            monkeypatch.setattr(f"experts.engines.{module}.HEARTBEAT_S", 0.1)
        fake = Crowded("researcher", "coder", "advisor", "tool-caller", "generalist")
        await fake.start()
        yield fake
        await fake.stop()

    @impatient
    async def test_twelve_long_prompts_at_once(self, app: App, http: httpx2.AsyncClient, sample: Sample) -> None:
        long = {"model": "coder", "messages": [{"role": "user", "content": "word " * 4_000}], "max_tokens": 2}
        crowd = [asyncio.create_task(http.post(CHAT, json=long)) for _ in range(12)]
        await asyncio.sleep(0.1)
        bystanders = await asyncio.gather(*(http.post(CHAT, json={**PINNED, "model": "advisor"}) for _ in range(5)))
        assert {response.status_code for response in bystanders} == {200}
        codes = [response.status_code for response in await asyncio.gather(*crowd)]
        assert set(codes) <= {200, 429}
        assert codes.count(200) == 9, "one runs and eight wait; the last of them for five times our patience"
        assert {sample("moegate_circuit_state", expert=name) for name in app.gateway.catalog.names} == {0}
        assert (await http.post(CHAT, json={**PINNED, "max_tokens": 2})).status_code == 200
