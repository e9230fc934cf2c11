"""An ASGI application called by hand: one request in, what it sends out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Scope

from serve.request import ANYONE

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What it has sent."""

    messages: list[Message]

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def scope_of(headers: Headers = ()) -> Scope:
    return {"type": "http", "method": "POST", "path": "/", "headers": list(headers), "state": {"caller": ANYONE}}


class Client:
    """Says a body in pieces, then leaves; None among them is leaving early.

    Attributes:
        unread: pieces that nobody has asked for yet.
    """

    def __init__(self, *pieces: bytes | None) -> None:
        self.unread = list(pieces)

    async def receive(self) -> Message:
        piece = self.unread.pop(0) if self.unread else None
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self.unread)}


async def asked(app: ASGIApp, *pieces: bytes | None, headers: Headers = ()) -> Answer:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope_of(headers), Client(*pieces).receive, send)
    return Answer(messages)
