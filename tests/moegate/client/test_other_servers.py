"""Servers that are busy, wrong, cut short or elsewhere: errors have a type and say what happened, nothing stays."""

import asyncio
import contextlib
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest

from moegate.client import Cancel, HttpServer, OpenAIServer, Runner, ServerError

Act = Callable[[BaseHTTPRequestHandler], None]


class Stage:
    """A server that does what a test says, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acts: list[Act] = []
        self.asked: list[tuple[dict[str, Any], str | None]] = []


class Handler(BaseHTTPRequestHandler):
    stage: Stage

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.stage.asked.append((body, self.headers["authorization"]))
        self.stage.acts[min(len(self.stage.asked), len(self.stage.acts)) - 1](self)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Stage(f"http://127.0.0.1:{server.server_port}/v1")
    server.RequestHandlerClass = type("Own", (Handler,), {"stage": found})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def send(status: int, body: str, kind: str = "application/json", **headers: str) -> Act:
    def act(handler: BaseHTTPRequestHandler) -> None:
        raw = body.encode()
        handler.send_response(status)
        told = {"content-type": kind, "content-length": str(len(raw)), **headers}
        for name, value in told.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(raw)

    return act


def stream(*events: Any, **headers: str) -> Act:
    lines = (f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return send(200, "".join(lines), "text/event-stream", **headers)


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}


WORDS = stream(chunk("words", "stop"), "[DONE]")


def ask(server: Any, **request: Any) -> str:
    return Runner(server, [], deadline_s=30, **request).run("hi").text


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (send(500, "<html>oh no</html>", "text/html"), "<html>oh no</html>"),
        (send(500, ""), "the server answered with the status 500"),
        (send(500, "[1]"), r"\[1\]"),
        (send(500, "[" * 50_000), r"\[\["),
        (send(500, '{"error": "words"}'), "words"),
        (send(500, '{"error": {"message": "what went wrong"}}'), "^what went wrong$"),
        (send(500, '{"detail": "elsewhere"}'), "elsewhere"),
        (send(500, "x", content_length="50"), "x"),
        (send(429, '{"error": {"message": "what went wrong"}}'), "what went wrong"),
    ],
)
def test_what_a_server_says_of_its_failure_is_told(stage: Stage, act: Act, said: str) -> None:
    stage.acts = [act]
    with pytest.raises(ServerError, match=said) as caught:
        ask(HttpServer(stage.url, timeout_s=1))
    assert caught.value.status in (429, 500)
    assert len(str(caught.value)) <= 2000
    assert len(stage.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says_so(stage: Stage) -> None:
    stage.acts = [send(429, "", retry_after="0"), send(503, "", retry_after="0"), WORDS]
    assert ask(HttpServer(stage.url)) == "words"
    assert len(stage.asked) == 3


@pytest.mark.parametrize(
    ("headers", "retry_after_s", "asked"),
    [
        ({"retry_after": "0"}, 0.0, 3),
        ({"retry_after": "3600"}, 3600.0, 1),
        ({"retry_after": "soon"}, None, 1),
        ({"retry_after": "0", "x_should_retry": "false"}, None, 1),
    ],
)
def test_a_server_that_stays_busy_is_an_error(
    stage: Stage, headers: dict[str, str], retry_after_s: float | None, asked: int
) -> None:
    stage.acts = [send(429, '{"error": {"message": "too many"}}', **headers)]
    with pytest.raises(ServerError, match="too many") as caught:
        ask(HttpServer(stage.url))
    assert (caught.value.status, caught.value.retry_after_s, len(stage.asked)) == (429, retry_after_s, asked)


@pytest.mark.parametrize(
    "act",
    [
        stream(chunk("so far")),
        stream(chunk("so far"), content_length="5000"),
        send(200, "5\r\ndata:", "text/event-stream", transfer_encoding="chunked", content_length=""),
        send(200, '{"choices"', content_length="5000"),
    ],
)
def test_an_answer_that_breaks_off_is_an_error(stage: Stage, act: Act) -> None:
    stage.acts = [act]
    with pytest.raises(ServerError, match=r"broke off|no JSON"):
        ask(HttpServer(stage.url))


def test_an_answer_without_a_mark_behind_it_is_whole_where_it_says_so(stage: Stage) -> None:
    stage.acts = [stream(chunk("all ", error=None), chunk("of it", "stop"))]
    assert ask(HttpServer(stage.url)) == "all of it"


@pytest.mark.parametrize(
    "act",
    [
        send(200, "<html>welcome</html>", "text/html"),
        send(200, "5"),
        send(200, '{"error": {"message": "no such model"}}'),
        stream("5"),
        stream("null"),
        stream("{"),
        stream({"error": "no such model"}),
        stream("[" * 50_000),
    ],
)
def test_what_is_no_answer_is_an_error(stage: Stage, act: Act) -> None:
    stage.acts = [act]
    with pytest.raises(ServerError, match=r"no JSON|none of chat completions|no such model"):
        ask(HttpServer(stage.url))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_goes_nowhere_else(stage: Stage, status: int) -> None:
    stage.acts = [send(status, "", location=f"{stage.url}/elsewhere")]
    with pytest.raises(ServerError) as caught:
        ask(HttpServer(stage.url, "secret"))
    assert (caught.value.status, len(stage.asked)) == (status, 1)


def test_what_speaks_no_http_is_an_error(stage: Stage) -> None:
    stage.acts = [_ssh]
    with pytest.raises(ServerError, match="BadStatusLine"):
        ask(HttpServer(stage.url))


def _ssh(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")


@pytest.mark.parametrize("key", ["secret\n", "s\u00e9cret", "a\r\nx-admin: 1"])
def test_a_key_that_no_header_can_have_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        HttpServer("http://127.0.0.1/v1", key)
    assert key.strip() not in str(caught.value)


def hangs(begun: threading.Event, gone: threading.Event, before: bytes) -> Act:
    """Say `before` and nothing more; tell when the client has gone."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(before)
        handler.wfile.flush()
        begun.set()
        readable, _, _ = select.select([handler.connection], [], [], 20)
        with contextlib.suppress(ConnectionResetError):
            if not readable or handler.connection.recv(1):
                return
        gone.set()

    return act


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("before", [b"", HEAD, HEAD + b"data: " + json.dumps(chunk("so")).encode() + b"\n\nda"])
@pytest.mark.parametrize("how", ["cancel", "deadline"])
@pytest.mark.parametrize("kind", ["http", "async"])
def test_who_no_longer_waits_hangs_up(stage: Stage, before: bytes, how: str, kind: str) -> None:
    begun, gone, cancel = threading.Event(), threading.Event(), Cancel()
    stage.acts = [hangs(begun, gone, before)]
    server = (
        OpenAIServer(openai.AsyncOpenAI(base_url=stage.url, api_key="k")) if kind == "async" else HttpServer(stage.url)
    )
    runner = Runner(server, [], deadline_s=1.5 if how == "deadline" else 30)

    def throw() -> None:
        begun.wait(10)
        cancel.throw()

    thread = threading.Thread(target=throw if how == "cancel" else lambda: None)
    thread.start()
    if how == "cancel":
        with pytest.raises(asyncio.CancelledError):
            runner.run("hi", cancel=cancel)
    else:
        assert not runner.run("hi").is_answered
    assert gone.wait(10), "the server still answers nobody"
    thread.join()
    for _ in range(100):
        if not any(one.name == "moegate-answer" for one in threading.enumerate()):
            return
        time.sleep(0.05)
    pytest.fail("a thread still reads")


class OwnAsync(openai.AsyncOpenAI):
    """A client of somebody's own."""


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI, OwnAsync])
def test_the_official_clients_errors_are_ours(stage: Stage, kind: Any) -> None:
    stage.acts = [send(429, '{"error": {"message": "too many"}}', retry_after="7")]
    client = kind(base_url=stage.url, api_key="k", max_retries=0)
    with pytest.raises(ServerError, match=r"RateLimitError.*too many") as caught:
        ask(OpenAIServer(client))
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)
    stage.acts = [stream(chunk("so far"), content_length="5000")]
    with pytest.raises(ServerError) as caught:
        ask(OpenAIServer(client))
    assert caught.value.status == 0
    nowhere = kind(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    with pytest.raises(ServerError, match="APIConnectionError"):
        ask(OpenAIServer(nowhere))


@pytest.mark.parametrize("kind", [openai.OpenAI, OwnAsync])
def test_the_official_client_sends_what_it_does_not_know(stage: Stage, kind: Any) -> None:
    stage.acts = [WORDS]
    server = OpenAIServer(kind(base_url=stage.url, api_key="k"))
    more = {"plan": True, "retrieval": {"collections": ["a"]}, "extra_body": {"quality_cost": 0.5}, "temperature": 0}
    assert ask(server, **more) == "words"
    ((body, _),) = stage.asked
    assert {name: body[name] for name in ("plan", "retrieval", "quality_cost", "temperature")} == {
        "plan": True,
        "retrieval": {"collections": ["a"]},
        "quality_cost": 0.5,
        "temperature": 0,
    }
    assert "extra_body" not in body
