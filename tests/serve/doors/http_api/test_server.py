"""What clients send by mistake or malice, byte by byte. Each is answered as it deserves, and costs us nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.app import App
from serve.doors.http_api.asgi import Reply
from serve.doors.http_api.server import HttpServer
from serve.settings.tree import load_settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
MB = 2**20


def head(length: int | None, *lines: str, path: str = CHAT) -> bytes:
    sized = [] if length is None else [f"content-length: {length}"]
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *sized, *lines, "", ""]
    ).encode()


def request(body: dict[str, Any] | bytes = BODY, *lines: str) -> bytes:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return head(len(raw), *lines) + raw


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = app.http_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """One whole response with a content-length."""
    top = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(top.split("content-length: ")[1].split("\r\n")[0])
    return int(top.split(" ", 2)[1]), orjson.loads(await reader.readexactly(length))


async def one(app: App, raw: bytes) -> tuple[int, dict[str, Any]]:
    async with connected(app) as (reader, writer):
        writer.write(raw)
        return await answer(reader)


async def settled(app: App, experts: FakeExperts) -> None:
    """Nothing goes on any more, no permit is held."""
    await until(
        lambda: not app.gateway._admission.in_flight and not any(script.live for script in experts.scripts.values())
    )


async def test_one_megabyte_is_read(app: App) -> None:
    status, body = await one(app, request({**BODY, "messages": [{"role": "user", "content": "x" * MB}]}))
    assert (status, body["model"]) == (200, "coder")


async def test_twenty_megabytes_are_refused_unread(app: App) -> None:
    status, body = await one(app, head(20 * MB) + b"{")
    assert (status, body["error"]["code"]) == (413, "payload_too_large")


async def test_twenty_megabytes_in_chunks_are_refused_on_the_way(app: App) -> None:
    async with connected(app) as (reader, writer):
        writer.write(head(None, "transfer-encoding: chunked"))

        async def send() -> None:
            for _ in range(320):
                writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
                await writer.drain()

        sending = asyncio.create_task(send())
        status, body = await answer(reader)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert (status, body["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "invalid_json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "invalid_json"),
        (b'{"messages": NaN}', "invalid_json"),
        (b'{"messages": Infinity}', "invalid_json"),
        (b'{"temperature": 1e999, "messages": [{"role": "user", "content": "x"}]}', None),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\x00"}]}', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (json.dumps(BODY).encode("utf-16"), "invalid_json"),
        (b"", "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"messages": [{"role": "user", "content": ' + b"9" * 5000 + b"}]}", None),
    ],
)
async def test_what_is_no_request(app: App, raw: bytes, code: str | None) -> None:
    status, body = await one(app, request(raw))
    assert status == 400
    assert body["error"]["code"] in ({code} if code else {"invalid_json", "invalid_value"})


async def test_depth_inside_a_field(app: App) -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"a": deep}
    raw = orjson.dumps({**BODY, "metadata": "DEEP"}).replace(b'"DEEP"', b"[" * 100_000 + b"]" * 100_000)
    assert (await one(app, request(raw)))[0] == 400
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    assert (await one(app, request({**BODY, "tools": [tool]})))[0] == 200


async def test_tool_schemas_with_cycles(app: App, experts: FakeExperts) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    schema = {"$defs": {"node": node, "a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    tool = {"type": "function", "function": {"name": "walk", "parameters": schema}}
    status, _ = await one(app, request({**BODY, "tools": [tool]}))
    assert status == 200
    assert orjson.loads(experts["coder"].requests[0].conversation.tools[0].parameters_json) == schema


async def test_null_bytes_and_odd_text_arrive_as_they_are(app: App, experts: FakeExperts) -> None:
    text = "\x00 a\u2028b \ufeff \u202e \U0010ffff é"
    assert (await one(app, request({**BODY, "messages": [{"role": "user", "content": text}]})))[0] == 200
    assert experts["coder"].requests[0].conversation.messages[0].content == text


async def test_the_last_of_duplicate_keys_counts(app: App, experts: FakeExperts) -> None:
    raw = b'{"model": "nobody", "messages": 7, "model": "coder", "messages": [{"role": "user", "content": "hello"}]}'
    status, body = await one(app, request(raw))
    assert (status, body["model"]) == (200, "coder")


async def test_unknown_fields_are_ignored(app: App) -> None:
    odd = {"reasoning_effort": "high", "x": [1, {"y": None}], "": 1, "store": True, "__class__": "a"}
    assert (await one(app, request(BODY | odd)))[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
async def test_wrong_content_type(app: App, kind: str) -> None:
    raw = request().replace(b"content-type: application/json", b"content-type: " + kind.encode())
    status, body = await one(app, raw)
    assert (status, body["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a plain port
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http(app: App, raw: bytes) -> None:
    async with connected(app) as (reader, writer):
        writer.write(raw)
        status, body = await answer(reader)
        assert 400 <= status < 500
        assert body["error"]["message"]
        assert await reader.read() == b""  # and the connection is closed
    assert (await one(app, request()))[0] == 200


@pytest.mark.parametrize("lines", [["x-a: " + "a" * 40_000], [f"x-{i}: {'b' * 100}" for i in range(400)]])
async def test_heads_that_are_too_large(app: App, lines: list[str]) -> None:
    status, body = await one(app, request(BODY, *lines))
    assert (status, body["error"]["code"]) == (431, "headers_too_large")


async def test_a_head_without_end_is_cut_off(app: App) -> None:
    async with connected(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nx-a: ")
        for _ in range(40):
            writer.write(b"a" * 1024)
            await asyncio.sleep(0)
        status, body = await answer(reader)
    assert (status, body["error"]["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("overrides", [{"http": {"read_timeout_s": 0.4}}])
@pytest.mark.parametrize(
    "raw", [b"", b"POST /v1/chat", head(50), head(50) + b'{"mess', head(None, "transfer-encoding: chunked")]
)
async def test_slow_loris(app: App, experts: FakeExperts, raw: bytes) -> None:
    async with connected(app) as (reader, writer):
        writer.write(raw)
        await writer.drain()
        status, body = await answer(reader)
        assert (status, body["error"]["code"]) == (408, "deadline_exceeded")
        assert await reader.read() == b""
    await settled(app, experts)


@pytest.mark.parametrize("overrides", [{"http": {"read_timeout_s": 0.3}}])
async def test_an_honest_slow_answer_is_not_a_slow_request(app: App, experts: FakeExperts) -> None:
    experts["coder"].words, experts["coder"].gap_s = ["a "] * 10, 0.1
    assert (await one(app, request()))[0] == 200


@pytest.mark.parametrize("overrides", [{"http": {"max_connections": 3}}])
async def test_too_many_connections_are_turned_away(app: App) -> None:
    async with connected(app), connected(app), connected(app):
        await asyncio.sleep(0.1)
        async with connected(app) as (reader, writer):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                writer.write(request())
                await answer(reader)
    await asyncio.sleep(0.3)
    assert (await one(app, request()))[0] == 200


async def test_pipelined_requests_are_answered_in_order(app: App, experts: FakeExperts) -> None:
    experts["coder"].gap_s = 0.05
    async with connected(app) as (reader, writer):
        models = ("coder", "generalist", "coder", "advisor")
        writer.write(b"".join(request({**BODY, "model": model}) for model in models))
        assert [(await answer(reader))[1]["model"] for _ in models] == list(models)


async def test_who_leaves_with_a_request_queued_behind_the_answer(app: App, experts: FakeExperts) -> None:
    experts["coder"].words, experts["coder"].gap_s = ["a "] * 1000, 0.02
    async with connected(app) as (reader, writer):
        writer.write(request({**BODY, "stream": True}) + request())
        await reader.readuntil(b"data: ")
        writer.transport.abort()
    await settled(app, experts)
    assert (experts["coder"].cancelled, len(experts["coder"].requests)) == (1, 1)


async def test_who_leaves_after_a_large_body(app: App, experts: FakeExperts) -> None:
    """Its bytes came faster than they were read, so reading was paused; a departure must be noticed all the same."""
    experts["coder"].first_s = 10
    async with connected(app) as (_, writer):
        writer.write(request({**BODY, "messages": [{"role": "user", "content": "a " * (MB // 5)}]}))
        await until(lambda: experts["coder"].live > 0)
    await settled(app, experts)
    assert experts["coder"].cancelled == 1


async def test_a_request_byte_by_byte(app: App) -> None:
    async with connected(app) as (reader, writer):
        for byte in request():
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("is_stream", [True, False])
async def test_who_half_closes_has_left(app: App, experts: FakeExperts, is_stream: bool) -> None:
    """As nginx has it by default: a client that has said its last word does not wait for an answer."""
    experts["coder"].words, experts["coder"].gap_s = ["a "] * 1000, 0.02
    async with connected(app) as (reader, writer):
        writer.write(request({**BODY, "stream": is_stream}))
        if is_stream:
            await reader.readuntil(b"data: ")
        else:
            await until(lambda: experts["coder"].live > 0)
        writer.write_eof()
        rest = await reader.read()  # up to the end, which the gateway makes
        assert b"[DONE]" not in rest if is_stream else rest == b""
        await settled(app, experts)
    assert experts["coder"].cancelled == 1


async def test_who_never_reads_blocks_nobody(app: App, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = ["x" * 4096] * 2000
    async with connected(app) as (_, writer):
        writer.write(request({**BODY, "stream": True}))
        await writer.drain()
        await asyncio.sleep(0.3)
        assert (await http.post(CHAT, json={**BODY, "model": "generalist"})).status_code == 200
        writer.transport.abort()
    await settled(app, experts)


async def test_expect_100_continue(app: App) -> None:
    raw = orjson.dumps(BODY)
    async with connected(app) as (reader, writer):
        writer.write(head(len(raw), "expect: 100-continue"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(raw)
        assert (await answer(reader))[0] == 200


async def echo_path(scope: Scope, receive: Receive, send: Send) -> None:
    await Reply(send).whole(200, [], scope["path"].encode())


class TestListener:
    """The server alone, in front of a small application."""

    def server(self, app: ASGIApp = echo_path, **overrides: Any) -> HttpServer:
        sections = {"http": {"port": 0}, "shutdown_grace_s": 5.0, **overrides}
        return HttpServer(app, load_settings(overrides=sections))

    async def test_it_says_where_it_listens_and_a_taken_port_is_an_error(self) -> None:
        server = self.server()
        address = await server.start()
        host, _, port = address.rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with pytest.raises(OSError, match="already in use"):
            await self.server(http={"port": int(port)}).start()
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"http://{address}/a")).text == "/a"
            await server.stop()
            with pytest.raises(httpx2.TransportError):
                await client.get(f"http://{address}/a")

    async def test_at_the_end_an_open_request_is_answered_first(self) -> None:
        has_come, may_answer = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            has_come.set()
            await may_answer.wait()
            await echo_path(scope, receive, send)

        server = self.server(slow, shutdown_grace_s=600.0)
        address = await server.start()
        async with httpx2.AsyncClient(timeout=600) as client:
            asking = asyncio.create_task(client.get(f"http://{address}/late"))
            await has_come.wait()
            stopping = asyncio.create_task(server.stop())
            await asyncio.sleep(0.2)
            assert not stopping.done()
            may_answer.set()
            assert (await asking).text == "/late"
            await stopping

    async def test_one_that_never_started_can_be_stopped(self) -> None:
        await self.server().stop()
