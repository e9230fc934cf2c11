"""A gateway that answers by a function: the wire alone, over real HTTP on a free port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Answer = tuple[int, list[Body] | Body]
"""A status, and the events of a stream or the body of an error."""


def said(text: str, *, expert: str = "coder", usd: float = 0.001) -> Answer:
    head = {"model": expert, "object": "chat.completion.chunk"}
    return 200, [
        head | {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        head | {"choices": [{"delta": {"content": text}, "finish_reason": None}]},
        head | {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        head | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost_usd": usd}},
    ]


def refused(status: int, code: str) -> Answer:
    return status, {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": code}}


@contextmanager
def fake_gateway(answer: Callable[[Body], Answer], models: tuple[str, ...] = ("auto", "coder")) -> Iterator[str]:
    """Serve at the address that is yielded."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, json.dumps({"data": [{"id": name} for name in models]}).encode())

        def do_POST(self) -> None:
            status, content = answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if isinstance(content, dict):
                return self._send(status, json.dumps(content).encode())
            frames = b": waiting\n\n" + b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in content)
            self._send(status, frames + b"data: [DONE]\n\n")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
