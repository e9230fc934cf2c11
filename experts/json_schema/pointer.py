"""Finds the part of a schema that a `$ref` names: JSON Pointer in a URI's fragment (RFC 6901, section 6).

Used by `experts.json_schema.reduction`, which follows no reference out of the document.
"""

from __future__ import annotations

from urllib.parse import unquote


def resolve(document: object, ref: str) -> object:
    """Return the part of `document` that `ref` ("#/$defs/x", "#/properties/a/anyOf/0") names.

    Raises:
        LookupError: there is no such part.
    """
    part = document
    for step in unquote(ref.removeprefix("#")).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list) and name.isascii() and name.isdigit():
            part = part[int(name[:9])]
        elif isinstance(part, dict):
            part = part[name]
        else:
            raise LookupError(name)
    return part
