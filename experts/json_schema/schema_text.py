"""A schema as clients send it: a text, read within bounds and reduced, the same few again and again."""

from __future__ import annotations

import json
from functools import lru_cache

from experts.json_schema.keywords import SchemaError
from experts.json_schema.reduction import Mode, reduce_schema

MAX_BYTES = 65_536


def parse_schema(text: str) -> object:
    """Read a serialised schema.

    Raises:
        SchemaError: it is too long, nested too deeply, or not JSON.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SchemaError(f"the schema is longer than {MAX_BYTES} bytes")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise SchemaError("the schema is not JSON") from None


@lru_cache(maxsize=128)
def reduced_text(text: str, mode: Mode) -> str:
    """Read and reduce a serialised schema; return it serialised. Clients send the same few again and again.

    Raises:
        SchemaError: as `parse_schema` and `reduce_schema` raise it.
    """
    return json.dumps(reduce_schema(parse_schema(text), mode))


def _no_constant(name: str) -> object:
    raise ValueError(name)
