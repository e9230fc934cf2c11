"""What a well-behaved HTTP server does besides answering: old clients, hosts, encodings, methods, slashes, silence."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from typing import Any

import httpx2
import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.app import App
from serve.errors import MalformedBody, PayloadTooLarge
from serve.http_api.content_coding import gunzip
from serve.http_api.transports import Unchunked
from serve.openai_api.responses import one_line
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until
from tests.serve.raw_http import chat, connected, post, receive, send

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


class TestOldClients:
    @pytest.mark.parametrize("is_stream", [False, True])
    @pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",), ("Expect: 100-continue",)])
    async def test_no_chunks_and_an_end(self, app: App, is_stream: bool, lines: tuple[str, ...]) -> None:
        raw = post(chat(stream=is_stream), *lines).replace(b"HTTP/1.1", b"HTTP/1.0")
        async with connected(app) as (reader, writer):
            await send(writer, [raw])
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")  # the connection's end is the answer's
        assert head.startswith(b"HTTP/1.1 200")
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        if is_stream:
            events = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
            assert events[-1] == b"[DONE]"
            texts = [orjson.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
            assert "".join(texts) == "Hello there!"
        else:
            assert orjson.loads(body)["choices"][0]["message"]["content"] == "Hello there!"

    @pytest.mark.parametrize("path", ["/health", "/metrics", "/openapi.json", "/", "/nothing"])
    async def test_other_pages(self, app: App, path: str) -> None:
        async with connected(app) as (reader, writer):
            await send(writer, [f"GET {path} HTTP/1.0\r\n\r\n".encode()])  # without a host, as 1.0 may
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert body

    @settings(max_examples=100, deadline=None)
    @given(pieces=st.lists(st.binary(max_size=30), max_size=5), ends=st.booleans())
    def test_what_chunks_hold(self, pieces: list[bytes], ends: bool) -> None:
        sent: list[bytes] = []

        class Transport:
            def write(self, data: bytes) -> None:
                sent.append(data)

        unchunked = Unchunked(Transport())  # type: ignore[arg-type]  # it writes alone
        unchunked.write(b"HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n")
        for i, piece in enumerate(pieces):
            last = b"0\r\n\r\n" if ends and i == len(pieces) - 1 else b""
            unchunked.write((b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"") + last)
        assert b"".join(sent) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n" + b"".join(pieces)


@pytest.mark.parametrize(
    ("hosts", "status"),
    [((), 400), (("a",), 200), (("",), 200), (("a", "a"), 400), (("a", "b"), 400), (("a", "b", "c"), 400)],
)
async def test_exactly_one_host(app: App, hosts: tuple[str, ...], status: int) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    async with connected(app) as (reader, writer):
        await send(writer, [f"GET /health HTTP/1.1\r\n{lines}\r\n".encode()])
        answer = await receive(reader)
        assert answer.status == status
        if status == 400:
            assert answer.json["error"]["param"] == "host"
            assert await reader.read() == b""


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("PUT", "/v1/completions", "POST"),
        ("DELETE", "/v1/feedback", "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PATCH", "/v1/models/coder", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_a_405_says_what_is_allowed(http: httpx2.AsyncClient, method: str, path: str, allowed: str) -> None:
    response = await http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/v1/models/", "/health/", "/v1/models/coder/", "/metrics/", "/openapi.json/"])
async def test_a_trailing_slash_is_no_other_page(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("path", [f"{CHAT}/", "/v1/completions/"])
async def test_a_trailing_slash_of_a_post(http: httpx2.AsyncClient, path: str) -> None:
    body = BODY if "chat" in path else {"model": "coder", "prompt": "hello"}
    assert (await http.post(path, json=body)).json()["model"] == "coder"


async def test_no_redirect_ever(http: httpx2.AsyncClient) -> None:
    for path in ("/v1/models//", "/v1/", "/nothing/", "/health//"):
        assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize(
    "overrides", [{}, {"access": {"keys": [{"name": "a", "sha256": hashlib.sha256(b"mg-a").hexdigest()}]}}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("GET", "/v1/nothing"), ("PUT", CHAT), ("POST", CHAT), ("POST", "/v1/feedback")],
)
async def test_every_answer_names_its_request(http: httpx2.AsyncClient, method: str, path: str) -> None:
    theirs = await http.request(method, path, headers={"x-request-id": "trace-7"})
    ours = await http.request(method, path)
    assert theirs.headers.get_list("x-request-id") == ["trace-7"]
    assert len(ours.headers.get_list("x-request-id")) == 1
    if theirs.status_code == 401:
        assert theirs.headers["www-authenticate"] == "Bearer"


class TestEncodings:
    async def ask(self, http: httpx2.AsyncClient, body: bytes, coding: str) -> httpx2.Response:
        headers = {"content-type": "application/json", "content-encoding": coding}
        return await http.post(CHAT, content=body, headers=headers)

    @pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
    async def test_gzip(self, http: httpx2.AsyncClient, coding: str) -> None:
        answer = await self.ask(http, gzip.compress(orjson.dumps(BODY)), coding)
        assert answer.json()["model"] == "coder"

    async def test_several_members(self, http: httpx2.AsyncClient) -> None:
        raw = orjson.dumps(BODY)
        answer = await self.ask(http, gzip.compress(raw[:10]) + gzip.compress(raw[10:]), "gzip")
        assert answer.json()["model"] == "coder"

    @pytest.mark.parametrize("coding", ["identity", ""])
    async def test_nothing_to_unpack(self, http: httpx2.AsyncClient, coding: str) -> None:
        assert (await self.ask(http, orjson.dumps(BODY), coding)).status_code == 200

    @pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br", "x"])
    async def test_others_are_refused_by_name(self, http: httpx2.AsyncClient, coding: str) -> None:
        answer = await self.ask(http, zlib.compress(orjson.dumps(BODY)), coding)
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "content-encoding")
        assert answer.headers["accept-encoding"] == "gzip, identity"

    @pytest.mark.parametrize(
        "body",
        [
            orjson.dumps(BODY),
            gzip.compress(orjson.dumps(BODY))[:-3],
            gzip.compress(orjson.dumps(BODY))[:4],
            gzip.compress(orjson.dumps(BODY)) + b"rest",
            zlib.compress(orjson.dumps(BODY)),
            gzip.compress(orjson.dumps(BODY))[:-8] + bytes(8),
        ],
    )
    async def test_what_is_not_gzip(self, http: httpx2.AsyncClient, body: bytes) -> None:
        answer = await self.ask(http, body, "gzip")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
        assert "gzip" in answer.json()["error"]["message"]

    @pytest.mark.parametrize("size", [4 * 2**20 + 1, 64 * 2**20])
    async def test_bombs(self, http: httpx2.AsyncClient, size: int) -> None:
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.compress(bytes(size % 2**20))
        answer = await self.ask(http, bomb + packer.flush(), "gzip")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")

    def test_a_bomb_of_many_members(self) -> None:
        with pytest.raises(PayloadTooLarge):
            gunzip(gzip.compress(bytes(600)) * 3, 1024)

    @settings(max_examples=100, deadline=None)
    @given(content=st.binary(max_size=2000), bound=st.integers(0, 2000))
    def test_the_bound_is_exact(self, content: bytes, bound: int) -> None:
        packed = gzip.compress(content)
        if len(content) <= bound:
            assert gunzip(packed, bound) == content
        else:
            with pytest.raises(PayloadTooLarge):
                gunzip(packed, bound)

    @settings(max_examples=100, deadline=None)
    @given(packed=st.binary(min_size=1, max_size=60))
    def test_any_bytes(self, packed: bytes) -> None:
        with pytest.raises((MalformedBody, PayloadTooLarge)):
            gunzip(packed, 1000)


LINE_ENDS = ("\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\n", "\r\n")


def data_lines(lines: Iterable[str]) -> list[str]:
    return [line.removeprefix("data: ") for line in lines if line]


@pytest.mark.parametrize("end", LINE_ENDS)
async def test_an_event_is_one_line_however_lines_are_split(
    http: httpx2.AsyncClient, experts: FakeExperts, end: str
) -> None:
    experts["coder"].words = [f"one{end}two", end, f"{end}é{end}"]
    response = await http.post(CHAT, json={**BODY, "stream": True})
    *events, done = data_lines(response.text.splitlines())  # Python splits at all of them
    assert done == "[DONE]"
    texts = [orjson.loads(event)["choices"][0]["delta"].get("content", "") for event in events]
    assert "".join(texts) == "".join(experts["coder"].words)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.one_of(st.sampled_from("\x85\u2028\u2029…\u2027\u202a"), st.characters(codec="utf-8"))))
def test_one_line_says_the_same(text: str) -> None:
    raw = one_line(orjson.dumps(text))
    assert len(raw.decode().splitlines()) == 1
    assert orjson.loads(raw) == text


class TestHeartbeat:
    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_comments_until_the_first_token(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 0.8
        async with connected(app) as (reader, writer):
            await send(writer, [post(chat(stream=True))])
            answer = await receive(reader)
        comments, _, rest = answer.body.rpartition(b": waiting\n\n")
        assert (comments + b": waiting\n\n").count(b": waiting\n\n") >= 2
        assert set((comments).split(b": waiting\n\n")) == {b""}
        assert rest.endswith(b"data: [DONE]\n\n")
        assert answer.headers["content-type"].startswith("text/event-stream")

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_the_sdk_reads_over_them(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 0.5
        async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="x", max_retries=0) as sdk:
            stream = await sdk.chat.completions.create(
                model="coder", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == "Hello there!"

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 30}}])
    async def test_a_fast_answer_has_its_headers_and_no_comment(self, http: httpx2.AsyncClient) -> None:
        response = await http.post(CHAT, json={**BODY, "stream": True})
        assert response.headers["x-moegate-expert"] == "coder"
        assert ": waiting" not in response.text

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_a_failure_after_one_is_the_last_event(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["coder"].first_s = 5
        headers = {"x-request-timeout-ms": "600"}
        response = await http.post(CHAT, json={**BODY, "stream": True}, headers=headers)
        assert response.status_code == 200
        *_, last = data_lines(response.text.split("\n\n"))
        assert orjson.loads(last)["error"]["code"] == "deadline_exceeded"
        whole = await http.post(CHAT, json=BODY, headers=headers)  # one that is not streamed keeps its status
        assert (whole.status_code, whole.headers["x-should-retry"]) == (408, "false")

    async def test_without_it_a_failure_has_its_status(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["coder"].first_s = 5
        body: dict[str, Any] = {**BODY, "stream": True}
        response = await http.post(CHAT, json=body, headers={"x-request-timeout-ms": "300"})
        assert response.status_code == 408

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.05}}])
    async def test_who_leaves_between_two_is_noticed(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 600
        async with connected(app) as (reader, writer):
            await send(writer, [post(chat(stream=True))])
            await reader.readuntil(b": waiting")
            writer.transport.abort()
        await until(lambda: not experts["coder"].live)
        assert experts["coder"].cancelled == 1
