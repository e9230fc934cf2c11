"""Nothing of a moegate on one machine can be reached from another, and its experts answer only their own gateway."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import grpc.aio
import httpx2
import pytest

from experts.catalog.secret import METADATA_KEY
from protos import expert_pb2
from protos.expert_pb2_grpc import ExpertStub
from tests.integration.running import Moegate
from tests.integration.sockets import Listener, listeners, wide_ports

pytestmark = pytest.mark.ray

PARTS = (
    "gcs_server",
    "raylet",
    "DashboardAgent",
    "ServeController",
    "ProxyActor",
    "ServeReplica",
    "haproxy",
    "serve.cli",
)


@pytest.fixture
async def found(moegate: Moegate, http: httpx2.AsyncClient) -> list[Listener]:
    """Every listening socket, once an expert has answered."""
    body = {"model": "researcher", "messages": [{"role": "user", "content": "hello"}]}
    assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    return listeners(moegate.family())


def own_addresses() -> set[str]:
    """The addresses of this machine that others may know: its name's, and the one it would go out by."""
    found = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
        try:
            outgoing.connect(("192.0.2.1", 9))  # a datagram socket sends nothing to say so
            found.add(outgoing.getsockname()[0])
        except OSError:  # no way out
            pass
    return {str(address) for address in found if not str(address).startswith("127.") and address != "::1"}


def test_every_part_is_listed(moegate: Moegate, found: list[Listener]) -> None:
    """Else the tests below could pass by not looking."""
    commands = {listener.pid: command_of(listener.pid) for listener in found}
    assert [part for part in PARTS if not any(part in command for command in commands.values())] == []
    replicas = {pid for pid, command in commands.items() if "ServeReplica" in command}
    assert len(replicas) >= 7
    known = {int(address.rpartition(":")[2]) for address in (moegate.http, moegate.grpc, moegate.ingress)}
    assert known <= {listener.port for listener in found}


def test_nothing_listens_beyond_this_machine(found: list[Listener]) -> None:
    assert [listener for listener in found if listener.is_wide] == []


def test_nobody_gets_in_by_the_machines_own_address(found: list[Listener]) -> None:
    addresses = own_addresses()
    ours = {listener.port for listener in found if not listener.is_wide}
    ports = ours - wide_ports()  # where another process listens widely at the same port, it would answer
    assert len(ports) >= len(ours) - 1  # Ray's agent has one fixed port
    if not addresses:
        pytest.skip("this machine has no address beyond the loopback")
    open_ = []
    for address in addresses:
        for port in ports:
            try:
                socket.create_connection((address, port), 1).close()
                open_.append((address, port))
            except OSError:
                continue
    assert open_ == []


@pytest.mark.parametrize("shown", [(), ((METADATA_KEY, "a guess of thirty-two characters"),)])
async def test_every_grpc_port_of_a_replica_refuses_who_lacks_the_secret(
    moegate: Moegate, found: list[Listener], shown: tuple[tuple[str, str], ...]
) -> None:
    replicas = set(moegate.replica_pids("researcher"))
    ports = {listener.port for listener in found if listener.pid in replicas}
    assert len(ports) >= 3  # Ray's own, and Serve's for HTTP and gRPC
    codes = [await code_of(f"127.0.0.1:{port}", shown) for port in ports]
    assert grpc.StatusCode.OK not in codes
    assert grpc.StatusCode.UNAUTHENTICATED in codes


@pytest.mark.parametrize("path", ["/", "/researcher", "/researcher/Generate"])
async def test_no_expert_answers_over_http(moegate: Moegate, found: list[Listener], path: str) -> None:
    """Serve opens an HTTP port for each replica and one in HAProxy; an expert has no method for them."""
    commands = {
        pid: command for pid, command in moegate.left().items() if "ServeReplica" in command or "haproxy" in command
    }
    ports = {listener.port for listener in found if listener.pid in commands}
    statuses = [await status_of(f"http://127.0.0.1:{port}{path}") for port in ports]
    assert len([status for status in statuses if status is not None]) >= 8  # seven replicas and HAProxy speak HTTP
    assert [status for status in statuses if status is not None and status < 400] == []


async def test_rays_agent_takes_no_job_without_the_token(moegate: Moegate, found: list[Listener]) -> None:
    """A job is any command: who submits one runs it."""
    agents = {pid for pid in moegate.family() if "DashboardAgent" in command_of(pid)}
    ports = {listener.port for listener in found if listener.pid in agents}
    statuses = [
        await status_of(f"http://127.0.0.1:{port}/api/job_agent/jobs/", {"entrypoint": "true"}) for port in ports
    ]
    assert 401 in statuses
    assert [status for status in statuses if status is not None and status < 400] == []


@pytest.mark.parametrize("shown", [(), ((METADATA_KEY, "a guess of thirty-two characters"),)])
async def test_the_ingress_refuses_who_lacks_the_secret(moegate: Moegate, shown: tuple[tuple[str, str], ...]) -> None:
    assert await code_of(moegate.ingress, shown) is grpc.StatusCode.UNAUTHENTICATED


async def test_the_ingress_answers_who_knows_it(moegate: Moegate) -> None:
    assert await code_of(moegate.ingress, ((METADATA_KEY, moegate.secret),)) is grpc.StatusCode.OK


@pytest.mark.parametrize("which", ["secret", "ray_token"])
async def test_no_secret_is_in_a_command_line_log_or_answer(moegate: Moegate, which: str) -> None:
    secret = getattr(moegate, which)
    assert len(secret) >= 32
    assert [pid for pid in moegate.family() if secret in command_of(pid)] == []
    assert secret not in moegate.log.read_text()
    [folder] = {match for command in moegate.left().values() for match in session_folders(command)}
    logs = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any("raylet" in path.name for path in logs)
    assert [path.name for path in logs if secret.encode() in path.read_bytes()] == []
    async with grpc.aio.insecure_channel(moegate.ingress) as channel:
        metadata = (("application", "researcher"),)
        described = await moegate.stub(channel).Describe(expert_pb2.DescribeRequest(), metadata=metadata)
    assert secret not in str(described)


def session_folders(command: str) -> list[Path]:
    """The folder of the run's files, as the raylet's command line names it."""
    return [
        Path(word.partition("=")[2]).parents[1] for word in command.split() if word.startswith("--raylet_socket_name=")
    ]


def command_of(pid: int) -> str:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


async def status_of(url: str, body: object = None) -> int | None:
    """How a POST ends there; None where nobody speaks HTTP/1.1."""
    async with httpx2.AsyncClient(timeout=5) as client:
        try:
            return (await client.post(url, json=body)).status_code
        except httpx2.HTTPError:
            return None


async def code_of(target: str, shown: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
    """How a call of the researcher ends there."""
    async with grpc.aio.insecure_channel(target) as channel:
        metadata = (("application", "researcher"), *shown)
        try:
            await ExpertStub(channel).Describe(expert_pb2.DescribeRequest(), metadata=metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK
