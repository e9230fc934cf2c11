"""HTTP/2's wire format (RFC 9113), and the part of HPACK (RFC 7541) that a sender needs: literals, never indexed."""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = struct.Struct(">HBBBL")  # length (upper 16 and lower 8 bits), kind, flags, stream
HEAD_BYTES: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class FrameError(Exception):
    """The peer broke the protocol, so the connection must end."""


class Kind(IntEnum):
    """Frames."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """What peers tell each other at the start."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


class Reset(IntEnum):
    """Why a stream or a connection is ended."""

    NO_ERROR = 0
    REFUSED_STREAM = 7
    CANCEL = 8
    ENHANCE_YOUR_CALM = 11


def frame(kind: Kind, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[Setting, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HL", key, value) for key, value in values))


def window_update(stream: int, credit: int) -> bytes:
    """A WINDOW_UPDATE frame: so many more bytes may be sent to us."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, credit.to_bytes(4, "big"))


def reset(stream: int, why: Reset) -> bytes:
    """A RST_STREAM frame."""
    return frame(Kind.RST_STREAM, 0, stream, why.to_bytes(4, "big"))


def header(name: bytes, value: bytes) -> bytes:
    """A header as a literal that enters no table, so that a block always means the same."""
    return b"\x00" + _string(name) + _string(value)


def secret_header(name: bytes, value: bytes) -> bytes:
    """A header that intermediaries may not put into a table either (RFC 7541, sections 6.2.3 and 7.1.3)."""
    return b"\x10" + _string(name) + _string(value)


def request_head(path: str, authority: str) -> bytes:
    """The headers that every call of a method begins with."""
    return (
        b"\x83\x86"  # :method POST, :scheme http, from the static table
        + b"\x04" + _string(path.encode())
        + b"\x01" + _string(authority.encode())
        + header(b"te", b"trailers")
        + header(b"content-type", b"application/grpc")
        + header(b"user-agent", b"moegate")
    )  # fmt: skip


def unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding (RFC 9113, section 6.1).

    Raises:
        FrameError: there is more padding than payload.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise FrameError("more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def _string(text: bytes) -> bytes:
    """A string without compression, after its length."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    head, size = bytearray(b"\x7f"), size - 127
    while size >= 128:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + text
