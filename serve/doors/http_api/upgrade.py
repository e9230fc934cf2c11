"""Declines offers to switch protocols, as RFC 9110 section 7.8 allows, by reading the request without the offer.

llhttp, the parser below uvicorn, ends a request that offers an upgrade after its head, and takes the body for the next
request. One client's body would be answered as a request of its own. The server therefore gives such a
head to a new parser, without the field that makes the offer. Then the body belongs to its request.

`Upgrade: h2c` comes from JDK's `HttpClient` by default and from `curl --http2`. RFC 9113 section 3.1 deprecates it.
"""

from collections.abc import Iterable
from typing import Final, Protocol

import httptools

_OFFER: Final = b"upgrade"


class ParserCallbacks(Protocol):
    """What a parser calls: uvicorn's `HttpToolsProtocol` has more of it."""

    def on_message_begin(self) -> None:
        """A request begins."""
        ...

    def on_message_complete(self) -> None:
        """It is whole."""
        ...


def head_without_offer(method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a parsed head once more, without `Upgrade`; whatever frames the body stays as it was.

    Args:
        method: as the parser read it; likewise the others.
        target: the request target.
        version: `1.1` or `1.0`.
        headers: names in lower case, values as they came.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    lines += [b"%s: %s" % header for header in headers if header[0] != _OFFER]
    return b"\r\n".join([*lines, b"", b""])


def new_parser(callbacks: ParserCallbacks) -> httptools.HttpRequestParser:
    """Make a parser that is as lenient as uvicorn's own: what follows a last request is dropped, and no error."""
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
