"""A server of OpenAI's `POST /v1/embeddings`: a text's vector counts its letters."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters_of(text: str) -> np.ndarray[Any, Any]:
    """Count the letters, and one more, so that no vector is empty."""
    return np.array([1, *(text.lower().count(letter) for letter in LETTERS)], "<f4")


class EmbeddingServer:
    """The server, on a port of its own until the context ends.

    Attributes:
        asked: the texts of every request.
        longest: characters of a text that is still read.
        answer: a status and a body in place of the vectors.
    """

    def __init__(self, longest: int = 10_000) -> None:
        self.asked: list[list[str]] = []
        self.longest = longest
        self.answer: tuple[int, bytes] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, texts: list[str]) -> tuple[int, bytes]:
        """Answer a request."""
        self.asked.append(texts)
        if self.answer is not None:
            return self.answer
        for number, text in enumerate(texts):
            if len(text) > self.longest:
                error = {"code": "context_length_exceeded", "param": f"input[{number}]"}
                return 400, json.dumps({"error": error}).encode()
        data = [{"embedding": base64.b64encode(letters_of(text).tobytes()).decode()} for text in texts]
        return 200, json.dumps({"model": "by-letters", "data": data}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, content = (404, b"{}") if self.path != "/v1/embeddings" else server.reply(body["input"])
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
