"""Finds the part of a schema that a `$ref` names: JSON Pointer in a URI's fragment (RFC 6901, section 6).

Used by `experts.json_schema.reduction`, which follows no reference out of the document.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # no leading zeros, and no list is longer


def resolve(document: object, ref: str) -> object:
    """Return the part of `document` that `ref` ("#/$defs/x", "#/properties/a/anyOf/0") names.

    Raises:
        LookupError: there is no such part, or `ref` is an anchor's name and no pointer.
    """
    anchor, *steps = unquote(ref.removeprefix("#")).split("/")
    if anchor:
        raise LookupError(anchor)
    part = document
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list) and _INDEX.fullmatch(name):
            part = part[int(name)]
        elif isinstance(part, dict):
            part = part[name]
        else:
            raise LookupError(name)
    return part
