"""Bodies as clients send them: JSON, YAML, and Kubernetes' protobuf for the few kinds that kubectl sends so.

Protobuf: four bytes of magic, then `runtime.Unknown`; field numbers from k8s.io/api/core/v1/generated.proto,
policy/v1 and apimachinery's meta/v1.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import yaml

Document = dict[str, Any]
MAGIC = b"k8s\x00"


def decoded(body: bytes, content_type: str) -> Any:
    """Read a body."""
    if body.startswith(MAGIC):
        return _unknown(body[len(MAGIC) :])
    if not body:
        return {}
    if "yaml" in content_type:
        return yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return json.loads(body)


def _unknown(body: bytes) -> Document:
    parts = dict(_fields(body))
    kind = {number: text.decode() for number, text in _fields(parts[1])}
    known = {"apiVersion": kind[1], "kind": kind[2]}
    match kind[2]:
        case "Namespace" | "Secret" | "Eviction":
            return known | _object(parts[2], has_data=kind[2] == "Secret")
        case "DeleteOptions":
            return known
        case other:
            raise NotImplementedError(f"{other} as protobuf")


def _object(body: bytes, *, has_data: bool) -> Document:
    made: Document = {}
    for number, value in _fields(body):
        if number == 1:
            made["metadata"] = _metadata(value)
        elif number == 2 and has_data:
            key, content = (dict(_fields(value)).get(at, b"") for at in (1, 2))
            made.setdefault("data", {})[key.decode()] = base64.b64encode(content).decode()
        elif number == 3 and has_data:
            made["type"] = value.decode()
    return made


def _metadata(body: bytes) -> Document:
    made: Document = {}
    names = {1: "name", 2: "generateName", 3: "namespace"}
    for number, value in _fields(body):
        if number in names and value:
            made[names[number]] = value.decode()
        elif number in {11, 12}:
            entry = dict(_fields(value))
            made.setdefault("labels" if number == 11 else "annotations", {})[entry[1].decode()] = entry.get(
                2, b""
            ).decode()
    return made


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the fields whose values are bytes; numbers are passed over."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        length, at = _varint(body, at)
        if tag & 7 == 2:
            yield tag >> 3, body[at : at + length]
            at += length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
