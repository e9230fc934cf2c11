"""What a well-behaved HTTP server does besides answering: old clients, hosts, methods, slashes, names."""

import hashlib

import httpx2
import orjson
import pytest

from serve.app import App
from tests.helpers import CHAT
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
