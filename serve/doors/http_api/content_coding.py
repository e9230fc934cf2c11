"""Compressed bodies (RFC 9110 section 8.4): gzip is unpacked, up to the limit for any body.

The unpacked body never grows beyond that limit (a "zip bomb" of 4 kB would be 4 MB).
"""

import zlib
from collections.abc import Callable
from typing import Final

from serve.errors import MalformedBody, PayloadTooLarge, UnsupportedMediaType

_GZIP: Final = zlib.MAX_WBITS | 16  # gzip's own head and tail, no other
_ACCEPTED: Final = "gzip, identity"

Decoder = Callable[[bytes, int], bytes]
"""Unpacks a body; what it makes is at most so many bytes."""


def decoder(coding: bytes) -> Decoder | None:
    """Find the decoder for a `content-encoding`; None if there is nothing to unpack.

    Raises:
        UnsupportedMediaType: it is none of ours; `accept-encoding` names those (RFC 9110 section 12.5.3).
    """
    match coding.strip().lower():
        case b"" | b"identity":
            return None
        case b"gzip" | b"x-gzip":
            return gunzip
    raise UnsupportedMediaType(
        f"'content-encoding' may be {_ACCEPTED}", param="content-encoding", headers=(("accept-encoding", _ACCEPTED),)
    )


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """Unpack a body; it may have several members one after another (RFC 1952 section 2.2).

    Raises:
        PayloadTooLarge: it would be larger than `max_bytes`.
        MalformedBody: it is not gzip, or not all of it.
    """
    content = b""
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            content += member.decompress(body, max_bytes + 1 - len(content))
        except zlib.error:
            raise MalformedBody("the body is not gzip, as 'content-encoding' says") from None
        if len(content) > max_bytes:
            raise too_large(max_bytes)
        if not member.eof:
            raise MalformedBody("the body is not all of its gzip")
        body = member.unused_data
    return content


def too_large(max_bytes: int) -> PayloadTooLarge:
    """Make the error."""
    return PayloadTooLarge(f"the body is larger than {max_bytes} bytes")
