"""Faults, for real: what each door's client sees, which metric shows it, and that all is well again without hands.

Each test is a row of the table "Faults" in docs/architecture.md, which names it.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx2
import orjson
import pytest
import pytest_asyncio
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.fakes.processes import Gateway, Upstream
from tests.helpers import CHAT, until

MESSAGES = [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]
PINNED = {"model": "coder", "messages": MESSAGES}
Sample = Callable[..., float]


def call(stub: GatewayStub) -> Any:
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hello")])
    return stub.Generate(pb.GenerateRequest(model="coder", conversation=conversation))


async def streamed(http: httpx2.AsyncClient, after_first: Callable[[], None]) -> dict[str, Any]:
    """Read a stream to its end; returns its last event."""
    last, is_first = "", True
    async with http.stream("POST", CHAT, json={**PINNED, "stream": True}) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                last = line.removeprefix("data: ")
                if is_first and "tok" in line:
                    is_first = False
                    after_first()
    assert last != "[DONE]"
    return orjson.loads(last)


async def says(asked: Awaitable[httpx2.Response], status: int) -> bool:
    """Whether an answer has a status."""
    return (await asked).status_code == status


async def unhedged(http: httpx2.AsyncClient) -> httpx2.Headers:
    """The headers of an answer by the router's own choice; asked again where a busy machine has made it late."""
    while True:
        headers = (await http.post(CHAT, json={"messages": MESSAGES}, timeout=60)).headers
        if headers["x-moegate-reason"] != "fallback":
            return headers


def when_both(act: Callable[[], None]) -> Callable[[], None]:
    """Act when called for the second time: both streams have begun."""
    calls = iter((lambda: None, act))
    return lambda: next(calls)()  # noqa: PLW0108  # a new call each time


async def broken_call(stub: GatewayStub, after_first: Callable[[], None]) -> tuple[grpc.StatusCode, str]:
    """Read a call to its end; returns its status and our code."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        stream = call(stub)
        await stream.read()
        await stream.read()
        after_first()
        while await stream.read() is not grpc.aio.EOF:
            pass
    told = dict(error.value.trailing_metadata() or ())
    assert "x-moegate-error-code" in told, repr(error.value)
    return error.value.code(), str(told["x-moegate-error-code"])


class TestOneUpstream:
    """The ingress itself, or the one replica behind it, is a process that we kill, stop and bring back."""

    @pytest.fixture
    def upstream(self) -> Iterator[Upstream]:
        upstream = Upstream(tokens=200, gap_ms=20)
        yield upstream
        upstream.kill()

    @pytest_asyncio.fixture
    async def app(self, settings: Settings, upstream: Upstream) -> AsyncIterator[App]:
        experts = settings.experts.model_copy(update={"target": upstream.target, "probe_interval_s": 0.2})
        dispatch = settings.dispatch.model_copy(
            update={"patience_s": 0.6, "circuit": settings.dispatch.circuit.model_copy(update={"open_s": 0.3})}
        )
        app = App(settings.model_copy(update={"experts": experts, "dispatch": dispatch}))
        await app.start()
        yield app
        await app.stop()

    async def test_killed_in_the_middle_of_streams(
        self, http: httpx2.AsyncClient, stub: GatewayStub, upstream: Upstream, sample: Sample
    ) -> None:
        kill = when_both(upstream.kill)
        last, (status, code) = await asyncio.gather(streamed(http, kill), broken_call(stub, kill))
        assert last["error"]["code"] == code == "expert_failed"
        assert status is grpc.StatusCode.ABORTED
        for door in ("http", "grpc"):
            assert sample("moegate_requests_total", expert="coder", door=door, outcome="expert_failed") == 1

    async def test_stopped_in_the_middle_of_streams(
        self, http: httpx2.AsyncClient, stub: GatewayStub, upstream: Upstream, sample: Sample
    ) -> None:
        stop = when_both(partial(upstream.signal, signal.SIGSTOP))
        last, (status, code) = await asyncio.gather(streamed(http, stop), broken_call(stub, stop))
        assert last["error"]["code"] == code == "expert_stalled"
        assert status is grpc.StatusCode.ABORTED
        assert sample("moegate_requests_total", expert="coder", door="http", outcome="expert_stalled") == 1

    async def test_refused_then_back_without_hands(
        self, http: httpx2.AsyncClient, stub: GatewayStub, upstream: Upstream, sample: Sample
    ) -> None:
        assert (await http.post(CHAT, json=PINNED)).status_code == 200
        upstream.kill()
        for _ in range(4):
            response = await http.post(CHAT, json=PINNED)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert sample("moegate_circuit_state", expert="coder") == 2
        retries = sample("moegate_retries_total", expert="coder")
        assert (await broken_call(stub, lambda: None)) == (grpc.StatusCode.UNAVAILABLE, "expert_unavailable")
        assert sample("moegate_retries_total", expert="coder") == retries  # the circuit is open: nobody was asked
        await until(lambda: says(http.get("/ready"), 503))

        back = Upstream(port=upstream.port, tokens=3)
        try:
            await until(lambda: says(http.post(CHAT, json=PINNED), 200), every_s=0.1)
            assert [(await http.post(CHAT, json=PINNED)).status_code for _ in range(5)] == [200] * 5
            assert sample("moegate_circuit_state", expert="coder") == 0
            await until(lambda: says(http.get("/ready"), 200))
        finally:
            back.kill()

    async def test_stopped_before_the_first_token(
        self, http: httpx2.AsyncClient, upstream: Upstream, sample: Sample
    ) -> None:
        upstream.signal(signal.SIGSTOP)
        response = await http.post(CHAT, json=PINNED)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
        upstream.signal(signal.SIGCONT)
        await until(lambda: says(http.post(CHAT, json=PINNED), 200), every_s=0.1)


class TestScripted:
    """One expert of several fails."""

    async def test_a_lost_request_is_sent_again(
        self, http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample
    ) -> None:
        experts["coder"].lose = 1
        response = await http.post(CHAT, json=PINNED)
        assert (response.status_code, response.headers["x-moegate-reason"]) == (200, "pinned")
        assert sample("moegate_retries_total", expert="coder") == 1

    @pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": {"failures": 2, "open_s": 0.2}, "retries": 0}}])
    async def test_an_open_circuit_is_routed_around(
        self, http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample
    ) -> None:
        first = (await http.post(CHAT, json={"messages": MESSAGES})).headers["x-moegate-expert"]
        experts[first].lose = 2
        for reason in ("fallback", "fallback", "unhealthy"):
            response = await http.post(CHAT, json={"messages": MESSAGES})
            assert (response.status_code, response.headers["x-moegate-reason"]) == (200, reason)
        assert len(experts[first].requests) == 3
        await asyncio.sleep(0.25)
        assert (await http.post(CHAT, json={"messages": MESSAGES})).headers["x-moegate-expert"] == first
        assert sample("moegate_circuit_state", expert=first) == 0

    @pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": {"failures": 2}}}])
    async def test_what_the_caller_did_wrong_opens_no_circuit(
        self, http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample
    ) -> None:
        experts["coder"].refuse = (grpc.StatusCode.INVALID_ARGUMENT, "context_length_exceeded: 9 > 8")
        assert {(await http.post(CHAT, json=PINNED)).status_code for _ in range(4)} == {400}
        experts["coder"].refuse = (grpc.StatusCode.RESOURCE_EXHAUSTED, "queue")
        assert {(await http.post(CHAT, json=PINNED)).status_code for _ in range(4)} == {429}
        assert sample("moegate_circuit_state", expert="coder") == 0

    @pytest.mark.parametrize(
        "overrides", [{"dispatch": {"retry_burst": 2, "retry_ratio": 0.0, "circuit": {"failures": 99}}}]
    )
    async def test_retries_end_with_their_budget(
        self, http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample
    ) -> None:
        experts["coder"].lose = 100
        codes = [(await http.post(CHAT, json=PINNED)).status_code for _ in range(4)]
        assert codes == [503] * 4
        assert len(experts["coder"].requests) == 6
        assert sample("moegate_refused_attempts_total") == 2

    @pytest.mark.parametrize("overrides", [{"dispatch": {"hedge_after_ms": 50}}])
    async def test_a_slow_first_token_is_hedged(
        self, http: httpx2.AsyncClient, experts: FakeExperts, sample: Sample
    ) -> None:
        headers = await unhedged(http)
        first = headers["x-moegate-expert"]
        experts[first].first_s = 600
        response = await http.post(CHAT, json={"messages": MESSAGES}, timeout=60)
        second = response.headers["x-moegate-expert"]
        assert second != first
        assert sample("moegate_hedges_total", expert=first, to=second) >= 1
        await until(lambda: experts[first].live == 0)  # the loser was cancelled


class TestWholeProcess:
    """The gateway's own process is what something happens to."""

    @pytest.fixture
    def config(self, tmp_path: Path, catalog_file: Path, experts: FakeExperts) -> Path:
        path = tmp_path / "gateway.yaml"
        settings = {
            "experts": {"catalog": str(catalog_file), "target": experts.target},
            "shutdown_delay_s": 1.0,
            "shutdown_grace_s": 0.6,
        }
        path.write_text(yaml.safe_dump(settings))
        return path

    @pytest.mark.slow
    async def test_sigterm(self, config: Path, tmp_path: Path, experts: FakeExperts) -> None:
        experts["coder"].words, experts["coder"].gap_s = ["tok "] * 200, 0.05
        gateway = await asyncio.to_thread(Gateway, tmp_path, config)
        has_begun = asyncio.Event()
        terminate = partial(gateway.process.send_signal, signal.SIGTERM)

        def both_have_begun() -> None:
            terminate()
            has_begun.set()

        stop = when_both(both_have_begun)
        async with (
            httpx2.AsyncClient(base_url=gateway.http, timeout=60) as http,
            grpc.aio.insecure_channel(gateway.grpc) as channel,
        ):
            long = asyncio.gather(streamed(http, stop), broken_call(GatewayStub(channel), stop))
            await has_begun.wait()
            await asyncio.sleep(0.2)
            ready = await http.get("/ready")
            assert (ready.status_code, ready.json()["draining"]) == (503, True)  # and yet it still answers:
            assert (await http.post(CHAT, json={**PINNED, "model": "generalist"})).status_code == 200
            last, (status, code) = await long
        assert last["error"]["code"] == code == "shutting_down"
        assert status is grpc.StatusCode.UNAVAILABLE
        exit_status, _ = await asyncio.to_thread(gateway.stop, signal.SIGTERM)
        assert exit_status == 0
        assert experts["coder"].live == 0

    @pytest.mark.slow
    async def test_full_disk_for_logs(self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "stderr.log").symlink_to("/dev/full")  # every write fails with ENOSPC
        gateway = await asyncio.to_thread(Gateway, tmp_path, config)
        async with httpx2.AsyncClient(base_url=gateway.http, timeout=60) as http:
            assert {(await http.post(CHAT, json=PINNED)).status_code for _ in range(20)} == {200}
            page = (await http.get("/metrics")).text
        lost = re.search(r"^moegate_log_lines_lost_total (\S+)$", page, re.M)
        assert lost is not None
        assert float(lost[1]) >= 20
        assert (await asyncio.to_thread(gateway.stop, signal.SIGTERM))[0] == 0
