"""Our HTTP/2 client against a real gRPC server: sizes beyond every window, many calls, every way in which one ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from serve.expert_client.h2.call import Call, CallError
from serve.expert_client.h2.connection import Connection
from serve.expert_client.h2.frames import header, request_head, settings
from serve.expert_client.h2.pool import Pool
from tests.helpers import until

METHOD = "/test.Service/Method"


class Server(grpc.GenericRpcHandler):
    """Does what a request says: its first word is the verb."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.live = 0
        self.server: grpc.aio.Server | None = None

    async def start(self, port: int = 0, *options: tuple[str, int]) -> int:
        self.server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), *options])
        self.server.add_generic_rpc_handlers((self,))
        bound = self.server.add_insecure_port(f"127.0.0.1:{port}")
        await self.server.start()
        return bound

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:  # type: ignore[type-arg]
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        verb, _, rest = request.partition(b" ")
        self.live += 1
        try:
            match verb:
                case b"size":
                    yield str(len(request)).encode()
                case b"big":
                    yield b"x" * int(rest)
                case b"many":
                    for i in range(int(rest)):
                        yield b"%d" % i
                case b"slow":
                    yield b"first"
                    await asyncio.sleep(30)
                case b"fail":
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue: 100% full, é")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.live -= 1


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    if server.server is not None:
        await server.server.stop(0)


Ask = Callable[..., Any]


def asker(pool: Pool, port: int) -> Ask:
    async def ask(request: bytes, timeout_s: float = 20) -> Call[bytes]:
        head = request_head(METHOD, f"127.0.0.1:{port}") + header(b"application", b"x" * 200)
        return (await pool.take()).call(head, request, bytes, timeout_s=timeout_s)

    return ask


async def drained(call: Call[bytes]) -> list[bytes]:
    messages = []
    while (message := await call.read()) is not None:
        messages.append(message)
    return messages


async def test_sizes_beyond_every_window(server: Server) -> None:
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=1, connect_within_s=2)
    ask = asker(pool, port)
    for size in (0, 1, 16_384, 65_536, 5_000_000):
        request = b"size " + b"a" * size
        assert await drained(await ask(request)) == [str(len(request)).encode()]
    calls = [await ask(b"size " + b"a" * 3_000_000) for _ in range(3)]
    assert await asyncio.gather(*map(drained, calls)) == [[b"3000005"]] * 3
    assert [len(message) for message in await drained(await ask(b"big 3000000"))] == [3_000_000]
    assert await drained(await ask(b"many 5000")) == [b"%d" % i for i in range(5000)]
    assert await drained(await ask(b"none")) == []
    pool.close()


async def test_every_end(server: Server) -> None:
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=1, connect_within_s=2)
    ask = asker(pool, port)
    with pytest.raises(CallError) as failed:
        await drained(await ask(b"fail"))
    assert (failed.value.status, failed.value.details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "queue: 100% full, é")
    late = await ask(b"slow", 0.3)
    assert await late.read() == b"first"
    with pytest.raises(CallError) as overdue:
        await late.read()
    assert overdue.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
    left = await ask(b"slow")
    assert await left.read() == b"first"
    left.cancel()
    with pytest.raises(CallError):
        await left.read()
    await until(lambda: server.cancelled == 2 and not server.live)
    assert (server.cancelled, server.live) == (2, 0)
    assert await drained(await ask(b"many 2")) == [b"0", b"1"]  # the connection is none the worse
    pool.close()


async def test_a_full_connection_is_not_waited_for(server: Server) -> None:
    port = await server.start(0, ("grpc.max_concurrent_streams", 10))
    pool = Pool("127.0.0.1", port, size=1, connect_within_s=2)
    ask = asker(pool, port)
    assert await drained(await ask(b"many 1")) == [b"0"]  # the settings are here
    calls = [await ask(b"slow") for _ in range(35)]
    assert {await asyncio.wait_for(call.read(), 60) for call in calls} == {b"first"}
    assert len(pool._connections) == 4
    for call in calls:
        call.cancel()
    pool.close()


async def test_a_server_that_dies_and_comes_back(server: Server) -> None:
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=2, connect_within_s=2)
    ask = asker(pool, port)
    calls = [await ask(b"slow") for _ in range(4)]
    assert {await call.read() for call in calls} == {b"first"}
    assert server.server is not None
    await server.server.stop(0)
    for call in calls:
        with pytest.raises(CallError) as lost:
            await call.read()
        assert lost.value.status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    with pytest.raises(OSError):
        for _ in range(50):
            await asyncio.sleep(0.02)
            await pool.take()
    await server.start(port)
    assert await drained(await ask(b"many 1")) == [b"0"]
    pool.close()


async def test_who_comes_in_the_very_turn_in_which_a_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Connection] = []
    asked, may_greet, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def connection() -> Connection:
        made.append(Connection())
        return made[-1]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        asked.set()
        await may_greet.wait()
        writer.write(settings(()))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async def come() -> Connection:
        await made[0].greeted
        return await pool.take()

    monkeypatch.setattr("serve.expert_client.h2.pool.Connection", connection)
    peer = await asyncio.start_server(talk, "127.0.0.1", 0)
    pool = Pool("127.0.0.1", peer.sockets[0].getsockname()[1], size=1, connect_within_s=2)
    first = asyncio.create_task(pool.take())
    await asked.wait()
    second = asyncio.create_task(come())  # it waits for the greeting behind the pool itself
    await asyncio.sleep(0)
    may_greet.set()
    assert await first is await second is made[0]
    assert len(made) == 1
    pool.close()
    await gone.wait()
    peer.close()
    await peer.wait_closed()


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64, b"\xff" * 64])
async def test_a_peer_that_speaks_something_else(junk: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(junk)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    peer = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = peer.sockets[0].getsockname()[1]
    pool = Pool("127.0.0.1", port, size=1, connect_within_s=2)
    with pytest.raises(OSError):
        await pool.take()
    pool.close()
    peer.close()
    await peer.wait_closed()


async def test_a_connection_with_room_is_used_while_another_cannot_be_made(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=4, connect_within_s=2)
    first = await pool.take()
    loop = asyncio.get_running_loop()
    connect, tries = loop.create_connection, 0

    async def refused(*args: Any) -> Any:
        nonlocal tries
        tries += 1
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "create_connection", refused)
    for _ in range(5):
        assert await pool.take() is first
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert tries == 1, "one failed; the next one is made after a pause"
    monkeypatch.setattr(loop, "create_connection", connect)
    monkeypatch.setattr("serve.expert_client.h2.pool._PAUSE_S", 0.0)
    pool._rest_until = 0.0
    taken = set()
    async with asyncio.timeout(60):
        while len(taken) < 4:
            taken.add(id(await pool.take()))
            await asyncio.sleep(0.005)
    pool.close()


@pytest.mark.parametrize("kind", ["refused", "silent", "slow", "resets", "speaks something else"])
async def test_nobody_waits_for_a_second_connection_while_the_first_has_room(
    server: Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """However the second attempt fails, and however long that takes."""
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=2, connect_within_s=0.2)
    first = await pool.take()
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def spoilt(*args: Any) -> Any:
        transport, connection = await connect(*args)
        if kind in ("refused", "slow"):
            connection.greeted.cancel()  # nobody will wait for it
        match kind:
            case "refused":
                transport.abort()
                raise ConnectionRefusedError
            case "silent":
                connection.data_received = lambda data: None
            case "slow":
                transport.abort()
                await asyncio.sleep(5)
            case "resets":
                transport.abort()
            case _:
                connection.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                transport.abort()
        return transport, connection

    monkeypatch.setattr(loop, "create_connection", spoilt)
    for _ in range(10):
        taking = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        assert taking.done(), "it waits"
        assert taking.result() is first
        await asyncio.sleep(0.05)
    pool.close()


async def test_a_pool_that_is_closed_while_it_connects_leaves_nothing_open(server: Server) -> None:
    port = await server.start()
    pool = Pool("127.0.0.1", port, size=2, connect_within_s=2)
    await pool.take()
    await pool.take()  # a second one is being made
    making = pool._making
    assert making is not None
    pool.close()
    await making
    assert not any(connection.is_open for connection in pool._connections)
    assert len(pool._connections) == 1
