"""Reads what is kept, and forgets whom it is told to forget."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from serve.interactions.stores import SegmentStore

Row = dict[str, Any]
"""A record, as `serve.interactions.kept` puts it together."""

_GZIP: Final = 31  # zlib's window bits that ask for gzip's header


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What has been deleted: records, of how many segments."""

    records: int
    segments: int


def rows(store: SegmentStore) -> Iterator[Row]:
    """Every record of an answer that somebody got, the oldest segment first.

    Raises:
        StoreFailed: the store cannot be read.
    """
    return (row for row in every_row(store) if not is_shadow(row))


def every_row(store: SegmentStore) -> Iterator[Row]:
    """Likewise, with the answers that candidates have given unseen.

    Raises:
        StoreFailed: the store cannot be read.
    """
    for segment in store.segments():
        for line in _lines(store.read(segment.name)):
            yield orjson.loads(line)


def is_shadow(row: Row) -> bool:
    """Whether it is a candidate's answer, which nobody got."""
    return "shadow_of" in row.get("moegate", ())


def forget(store: SegmentStore, is_meant: Callable[[Row], bool]) -> Forgotten:
    """Delete records for good: their segments are written anew without them.

    What a gateway has not written yet is not found; `interactions.flush_s` later (with an object store,
    `interactions.segment_s` later) it is.

    Raises:
        StoreFailed: the store failed; segments before that are done, and doing it again is safe.
    """
    records = segments = 0
    with store.alone():
        for segment in store.segments():
            lines = list(_lines(store.read(segment.name)))
            left = [line for line in lines if not is_meant(orjson.loads(line))]
            if len(left) < len(lines):
                data = gzip.compress(b"".join(line + b"\n" for line in left)) if left else None
                store.replace(segment.name, data)
                records += len(lines) - len(left)
                segments += 1
    return Forgotten(records, segments)


def of_client(name: str) -> Callable[[Row], bool]:
    """Mean everything of an API key."""
    return lambda row: row.get("client_id") == name


def of_response(response_id: str) -> Callable[[Row], bool]:
    """Mean one answer, and what a candidate made of the same request."""
    return lambda row: response_id in (row.get("response", {}).get("id"), row.get("moegate", {}).get("shadow_of"))


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines of a segment's members. One that a crash has cut short ends it: what stands before it is whole."""
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            text = member.decompress(data)
        except zlib.error:
            return
        if not member.eof:
            return
        yield from text.splitlines()
        data = member.unused_data
