"""What Ray would bind on every interface is bound on the loopback address."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from experts.cluster.loopback import FOLDER, narrow_template, narrower
from tests.integration.sockets import listeners


@pytest.mark.parametrize(
    ("address", "narrowed"),
    [
        ("[::]:9000", "127.0.0.1:9000"),
        ("0.0.0.0:9000", "127.0.0.1:9000"),
        ("*:9000", "127.0.0.1:9000"),
        (":9000", "127.0.0.1:9000"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("[::1]:9000", "[::1]:9000"),
        ("10.0.0.7:9000", "10.0.0.7:9000"),
        ("unix:/tmp/socket", "unix:/tmp/socket"),
        ("localhost:9000", "localhost:9000"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ],
)
def test_addresses_of_every_interface_become_the_loopback(address: str, narrowed: str) -> None:
    assert narrower(Path("/run"))(address) == narrowed


@pytest.mark.parametrize("address", ["[::]:0", "0.0.0.0:0", "*:0", ":0"])
def test_ports_that_nobody_is_told_become_sockets_of_the_runs_folder(address: str) -> None:
    narrow = narrower(Path("/run/of/mine"))
    made = [narrow(address) for _ in range(3)]
    assert len(set(made)) == 3
    assert all(re.fullmatch(rf"unix:/run/of/mine/{os.getpid()}-\d", name) for name in made)


def test_rays_own_template_binds_no_port_widely() -> None:
    templates = pytest.importorskip("ray.serve._private.haproxy_templates")
    narrowed = narrow_template(templates.HAPROXY_CONFIG_TEMPLATE)
    binds = re.findall(r"^\s*bind (\S.*)$", narrowed, re.MULTILINE)
    assert len(binds) == 4  # metrics, HTTP, gRPC, statistics: a fifth would have to be thought about
    own = ["127.0.0.1:{{ config.metrics_port }}", "127.0.0.1:{{ config.stats_port }}"]
    assert sorted(bind for bind in binds if not re.match(r"\{\{ config\.(grpc_)?frontend_host \}\}:", bind)) == own
    assert len(narrowed.splitlines()) == len(templates.HAPROXY_CONFIG_TEMPLATE.splitlines())


@pytest.mark.parametrize("kind", ["grpc.aio.server()", "gRPCGenericServer(lambda *_: None)"])
def test_a_workers_grpc_server_is_out_of_others_reach(kind: str, tmp_path: Path) -> None:
    """In a process of its own, because the hook changes the whole process that runs it."""
    pytest.importorskip("ray.serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = f"""
import asyncio, os, grpc.aio
from experts.cluster.loopback import keep_to_loopback
from ray.serve._private.grpc_util import gRPCGenericServer
from tests.integration.sockets import listeners
keep_to_loopback()
async def main():
    server = {kind}
    print(bool(server.add_insecure_port("[::]:0")), server.add_insecure_port("[::]:{port}"))
    await server.start()
    print(*[(found.address, found.port) for found in listeners([os.getpid()])])
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {FOLDER: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == [f"True {port}", f"('127.0.0.1', {port})"]


async def test_the_listing_sees_what_is_open_and_how_widely() -> None:
    """Else a test that finds no wide socket would prove nothing."""

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    servers = [await asyncio.start_server(handle, host, 0) for host in ("127.0.0.1", "0.0.0.0", "::1", "::")]
    try:
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        found = {listener.port: listener for listener in listeners([os.getpid()])}
        assert [found[port].is_wide for port in ports] == [False, True, False, True]
        assert [found[port].address for port in ports] == ["127.0.0.1", "0.0.0.0", "::1", "::"]
    finally:
        for server in servers:
            server.close()
