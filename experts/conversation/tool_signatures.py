"""From a JSON Schema, of a tool or of an answer, to the few lines in which the model reads it.

Called by `experts.conversation.prompts`. A signature in TypeScript's manner, as OpenAI's Harmony format shows functions
to gpt-oss (https://github.com/openai/harmony, docs/format.md), takes 0.6 of the tokens of the schema itself. For a
small expert that means a faster first token and room for more tools. What the lines cannot express (patterns, bounds)
is left out; answers are checked against the schema itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

_DEEPEST: Final = 6
"""Levels of nesting that are spelt out; what lies deeper is `any`, which also ends schemas that refer to themselves."""
_NAMED: Final = frozenset({"string", "integer", "number", "boolean", "object", "null"})


def signature(name: str, description: str, parameters: object) -> str:
    """Write one tool: its description as a comment, its name, a line for each parameter (`?` marks optional ones)."""
    about = f"// {_one_line(description)}\n" if description.strip() else ""
    fields = "".join(f"\n{field}" for field in _fields(parameters, _DEEPEST))
    if fields:
        return f"{about}{name}({fields}\n)"
    return f"{about}{name}({'...' if _takes_anything(parameters) else ''})"


def _takes_anything(schema: object) -> bool:
    """Say whether the arguments may be any object: nothing more is said of it, or unnamed properties may come."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return False
    return bool(schema.get("additionalProperties", "properties" not in schema))


def shape(schema: object) -> str:
    """Write the form of a value: an object with a line for each field, or the type."""
    fields = "".join(f"\n{field}" for field in _fields(schema, _DEEPEST))
    return f"{{{fields}\n}}" if fields else _type(schema, _DEEPEST)


def _fields(schema: object, levels: int) -> Iterator[str]:
    """Yield `name: type // description` for each property of an object's schema."""
    if not isinstance(schema, Mapping) or not isinstance(properties := schema.get("properties"), Mapping):
        return
    required = schema.get("required")
    needed = set(map(str, required)) if isinstance(required, list) else set()
    for name, inner in properties.items():
        yield f"{name}{'' if name in needed else '?'}: {_type(inner, levels)}{_remark(inner)}"


def _remark(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return ""
    about = _one_line(str(schema.get("description") or ""))
    default = f"(default {_json(schema['default'])})" if schema.get("default") is not None else ""
    words = " ".join(filter(None, [about, default]))
    return f" // {words}" if words else ""


def _type(schema: object, levels: int) -> str:
    if not isinstance(schema, Mapping) or levels == 0:
        return "any"
    for key in ("enum", "anyOf", "oneOf", "type"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices:
            return " | ".join(dict.fromkeys(_choice(key, choice, schema, levels - 1) for choice in choices))
    if "const" in schema:
        return _json(schema["const"])
    return _plain(schema, levels)


def _choice(key: str, choice: object, schema: Mapping[str, object], levels: int) -> str:
    if key == "enum":
        return _json(choice)
    return _type({**schema, "type": choice} if key == "type" else choice, levels)


def _plain(schema: Mapping[str, object], levels: int) -> str:
    kind = schema.get("type")
    if kind == "array":
        inner = _type(schema.get("items"), levels - 1)
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if "properties" in schema:
        return f"{{{', '.join(_fields(schema, levels - 1))}}}"
    return kind if isinstance(kind, str) and kind in _NAMED else "any"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
