"""Python's own HTTP and the official client against a small server: streams, whole answers, errors, broken streams."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import openai
import pytest

from moegate.client import HttpServer, OpenAIServer, Runner, ServerError, tool
from tests.fakes.plan_server import call

ROOT = Path(__file__).parents[3]
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "double", "arguments": '{"n": 4}'}}


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


class Handler(BaseHTTPRequestHandler):
    """Answers by the model's name; calls `double` first where there are tools and no result yet."""

    asked: list[tuple[dict[str, Any], str | None]]
    calls: ClassVar[list[dict[str, Any]]] = [CALL]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((body, self.headers["authorization"]))
        if body["model"] == "refuses":
            self._send(429, "application/json", b'{"error": {"message": "too many"}}')
        elif body["model"] == "whole":
            message = {"role": "assistant", "content": "all at once"}
            self._send(200, "application/json", json.dumps({"choices": [{"message": message}]}).encode())
        else:
            self._send(200, "text/event-stream", self._stream(body))

    def _stream(self, body: dict[str, Any]) -> bytes:
        if body["model"] == "breaks":
            events: list[Any] = [chunk({"content": "so far"}), {"error": {"message": "expert_failed"}}]
        elif body.get("tools") and body["messages"][-1]["role"] == "user":
            events = [chunk({"role": "assistant", "content": None}), chunk({"tool_calls": self.calls})]
        else:
            events = [chunk({"content": word}) for word in ("it ", "is ", body["messages"][-1]["content"])]
        lines = [b": a comment", *(b"data: " + json.dumps(event).encode() for event in events), b"data: [DONE]"]
        return b"\n\n".join(lines) + b"\n\n"

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[tuple[str, list[tuple[dict[str, Any], str | None]]]]:
    asked: list[tuple[dict[str, Any], str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@pytest.mark.parametrize("kind", ["http", "openai", "async openai"])
def test_a_real_function_is_called(kind: str, served: Any) -> None:
    url, asked = served
    if kind == "http":
        result = Runner(HttpServer(url, "key"), [tool(double)], plan=True).run("What is twice four?")
    elif kind == "openai":
        with openai.OpenAI(base_url=url, api_key="key") as client:
            result = Runner(OpenAIServer(client), [tool(double)], plan=True).run("What is twice four?")
    else:

        async def run() -> Any:
            async with openai.AsyncOpenAI(base_url=url, api_key="key") as other:
                return await Runner(OpenAIServer(other), [tool(double)], plan=True).run_async("What is twice four?")

        result = asyncio.run(run())
    assert result.text == "it is 8"
    assert [authorization for _, authorization in asked] == ["Bearer key"] * 2
    assert asked[0][0]["plan"] is True
    assert asked[0][0]["tools"][0]["function"]["name"] == "double"


def test_a_whole_answer_is_as_good(served: Any) -> None:
    url, _ = served
    assert Runner(HttpServer(url), [], model="whole").run("hi").text == "all at once"


def test_what_the_server_refuses_is_an_error_with_its_status(served: Any) -> None:
    url, _ = served
    with pytest.raises(ServerError, match="too many") as caught:
        Runner(HttpServer(url), [], model="refuses").run("hi")
    assert caught.value.status == 429


def test_a_stream_that_tells_of_an_error_is_one(served: Any) -> None:
    url, _ = served
    with pytest.raises(ServerError, match="expert_failed"):
        Runner(HttpServer(url), [], model="breaks").run("hi")


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ServerError, match=r"cannot be reached.*\(ConnectionRefusedError\)"):
        Runner(HttpServer("http://127.0.0.1:9/v1"), []).run("hi")
    with pytest.raises(ServerError, match=r"cannot be reached.*\(InvalidURL\)"):
        Runner(HttpServer("http://127.0.0.1:9/v 1"), []).run("hi")


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        HttpServer("file:///etc/passwd")


def run_example(page: str, url: str) -> None:
    """Run the page's example of the client, at another server."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "moegate.client" in block]
    exec(compile(example.replace("http://127.0.0.1:8000/v1", url), page, "exec"), {"__name__": "example"})


def test_readmes_example_runs(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    url, asked = served
    run_example("README.md", url)
    assert capsys.readouterr().out.startswith("it is ")
    assert [one["function"]["name"] for one in asked[0][0]["tools"]] == ["get_time", "word_count"]


def test_the_pages_example_runs_and_prints_what_the_page_says(
    served: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = served
    plan = [
        call("search_hotel", {"city": "Rome"}, []) | {"index": 0, "id": "a"},
        call("reserve", {"hotel": "$1.hotel", "nights": 2}, [1]) | {"index": 1, "id": "b"},
    ]
    monkeypatch.setattr(Handler, "calls", plan)
    run_example("docs/tools.md", url)
    assert asked[0][0]["plan"] is True
    *printed, last = capsys.readouterr().out.splitlines()
    page = (ROOT / "docs/tools.md").read_text("utf-8")
    assert len(printed) == 2
    assert all(f"`{line}`" in page for line in printed)
    assert last == "it is Rome Inn is reserved for 2 nights"
