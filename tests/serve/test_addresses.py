"""Both doors on IPv6: with and without brackets, alone and as several workers, on one address and on every one."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2
import pytest

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App, run
from serve.settings.tree import Settings, load_settings
from serve.workers.sockets import Listening
from tests.fakes.expert_server import FakeExperts


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("given", "host"), [("[::1]", "::1"), ("::1", "::1"), ("[::]", "::"), ("fe80::1", "fe80::1"), ("x", "x")]
)
def test_brackets_are_no_part_of_a_host(given: str, host: str) -> None:
    settings = load_settings(overrides={"http": {"host": given}, "grpc": {"host": given}})
    assert (settings.http.host, settings.grpc.host) == (host, host)


async def answers(http_address: str, grpc_address: str) -> bool:
    async with httpx2.AsyncClient(timeout=60) as client:
        is_alive = (await client.get(f"http://{http_address}/health")).status_code == 200
    async with grpc.aio.insecure_channel(grpc_address) as channel:
        experts = await GatewayStub(channel).ListExperts(pb.ListExpertsRequest(), timeout=60)
    return is_alive and bool(experts.experts)


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
@pytest.mark.parametrize("overrides", [{"http": {"host": "::1"}, "grpc": {"host": "::1"}}])
async def test_loopback(settings: Settings, host: str) -> None:
    app = App(load_settings(overrides=settings.model_dump() | hosts(settings, host)))
    await app.start()
    try:
        assert app.http_address.startswith("[::1]:")
        assert app.grpc_address.startswith("[::1]:")
        assert await answers(app.http_address, app.grpc_address)
    finally:
        await app.stop()


@needs_ipv6
@pytest.mark.parametrize(
    "overrides", [{"http": {"host": "::"}, "grpc": {"host": "::"}, "access": {"allow_open": True}}]
)
async def test_every_address(app: App) -> None:
    """`::` takes IPv4, too, at both doors: a container that listens there is reached either way."""
    for host in ("[::1]", "127.0.0.1"):
        addresses = (f"{host}:{door.rpartition(':')[2]}" for door in (app.http_address, app.grpc_address))
        assert await answers(*addresses)


def hosts(settings: Settings, host: str) -> dict[str, Any]:
    return {door: {**getattr(settings, door).model_dump(), "host": host} for door in ("http", "grpc")}


@needs_ipv6
@pytest.mark.slow
async def test_workers(settings: Settings, experts: FakeExperts, tmp_path: Path) -> None:
    stop, ready = asyncio.Event(), asyncio.Queue[Listening]()
    several = settings.model_copy(
        update={
            "workers": 2,
            "http": settings.http.model_copy(update={"host": "::1"}),
            "grpc": settings.grpc.model_copy(update={"host": "::1"}),
        }
    )
    running = asyncio.create_task(run(several, stop, ready.put_nowait))
    try:
        gateway = await asyncio.wait_for(ready.get(), 60)
        assert gateway.grpc_address.startswith("[::1]:")
        assert await answers(gateway.http_address, gateway.grpc_address)
    finally:
        stop.set()
        await running
