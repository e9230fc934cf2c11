"""What Ray would bind on every interface is bound on the loopback address."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from experts.loopback import narrow_address, narrow_template
from tests.integration.sockets import listeners


@pytest.mark.parametrize(
    ("address", "narrowed"),
    [
        ("[::]:0", "127.0.0.1:0"),
        ("[::]:9000", "127.0.0.1:9000"),
        ("0.0.0.0:9000", "127.0.0.1:9000"),
        ("*:9000", "127.0.0.1:9000"),
        (":9000", "127.0.0.1:9000"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("[::1]:9000", "[::1]:9000"),
        ("10.0.0.7:9000", "10.0.0.7:9000"),
        ("unix:/tmp/socket", "unix:/tmp/socket"),
        ("localhost:9000", "localhost:9000"),
    ],
)
def test_addresses_of_every_interface_become_the_loopback(address: str, narrowed: str) -> None:
    assert narrow_address(address) == narrowed


def test_rays_own_template_binds_no_port_widely() -> None:
    templates = pytest.importorskip("ray.serve._private.haproxy_templates")
    narrowed = narrow_template(templates.HAPROXY_CONFIG_TEMPLATE)
    binds = re.findall(r"^\s*bind (\S.*)$", narrowed, re.MULTILINE)
    assert len(binds) == 4  # metrics, HTTP, gRPC, statistics: a fifth would have to be thought about
    own = ["127.0.0.1:{{ config.metrics_port }}", "127.0.0.1:{{ config.stats_port }}"]
    assert sorted(bind for bind in binds if not re.match(r"\{\{ config\.(grpc_)?frontend_host \}\}:", bind)) == own
    assert len(narrowed.splitlines()) == len(templates.HAPROXY_CONFIG_TEMPLATE.splitlines())


@pytest.mark.parametrize("kind", ["grpc.aio.server()", "gRPCGenericServer(lambda *_: None)"])
def test_a_workers_grpc_server_listens_on_the_loopback_alone(kind: str) -> None:
    """In a process of its own, because the hook changes the whole process that runs it."""
    pytest.importorskip("ray.serve")
    program = f"""
import asyncio, os, grpc.aio
from experts.loopback import keep_to_loopback
from ray.serve._private.grpc_util import gRPCGenericServer
from tests.integration.sockets import listeners
keep_to_loopback()
async def main():
    server = {kind}
    port = server.add_insecure_port("[::]:0")
    await server.start()
    print(*[(found.address, found.port == port) for found in listeners([os.getpid()])])
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "('127.0.0.1', True)"


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
