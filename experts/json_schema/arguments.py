"""A tool's parameters, reduced to the schema of a call's arguments: always an object's.

Only the schema of a strict tool is a promise: the gateway refuses it (`serve.validation.rules`) where calls cannot be
held to it. Any other is for the model to read first of all, and comes from wherever the client found it: where it says
what is no schema, anything may stand, and the request goes on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from experts.json_schema.keywords import SchemaError
from experts.json_schema.merge import ANYTHING
from experts.json_schema.reduction import Mode, Schema, reduce_counted
from experts.json_schema.schema_text import MAX_BYTES, parse_schema

ANY_OBJECT: Final[Schema] = {"type": "object"}
NO_ARGUMENTS: Final[Schema] = {"type": "object", "additionalProperties": False}
MAX_WORK: Final = 100_000
"""Parts that a replica looks at for the tools of one request: .1 to .4 s. Usual tools have ten each."""
MAX_STRICT_WORK: Final = 30_000
"""Parts of strict tools that the gateway looks at, whose one loop serves everybody."""
_BESIDE: Final = ("$ref", "allOf", "anyOf", "oneOf")


class Arguments(NamedTuple):
    """The schema of a tool's arguments.

    Attributes:
        schema: reduced; an object's, or a choice of objects.
        work: parts that were looked at for it.
    """

    schema: Schema
    work: int


def arguments_of(parameters: str, *, is_strict: bool = False) -> Arguments:
    """Reduce a tool's parameters, serialised; of a strict tool as `strict_arguments` does, where that can be.

    Empty parameters, and an object whose list of properties is empty, are those of a function without any; an object
    of which nothing more is said may be any object.
    """
    if len(parameters) > MAX_BYTES:  # nothing longer is to be remembered
        return Arguments(ANY_OBJECT, 0)
    if is_strict:
        try:
            return strict_arguments(parameters)
        except SchemaError:
            pass
    try:
        return _reduced(parameters, "forgiving")
    except SchemaError:
        return Arguments(ANY_OBJECT, 0)


def strict_arguments(parameters: str) -> Arguments:
    """Reduce the parameters of a strict tool, serialised.

    Raises:
        SchemaError: calls cannot be held to them.
    """
    if len(parameters) > MAX_BYTES:
        raise SchemaError(f"the schema is longer than {MAX_BYTES} bytes")
    return _reduced(parameters, "strict")


@lru_cache(maxsize=512)
def _reduced(parameters: str, mode: Mode) -> Arguments:
    schema = parse_schema(parameters or "{}")
    reduced, work = reduce_counted(schema, mode)
    if _takes_nothing(schema):
        return Arguments(NO_ARGUMENTS, work)
    if reduced.get("type") == "object" or _is_choice_of_objects(reduced):
        return Arguments(reduced, work)
    if mode == "strict" and reduced != ANYTHING:
        raise SchemaError("a function's parameters are an object")
    return Arguments(ANY_OBJECT, work)


def _takes_nothing(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema == {} or (schema.get("properties") == {} and _says_no_more(schema))


def _says_no_more(schema: Schema) -> bool:
    """Say whether an object without declared properties leaves no other way to have some."""
    return not schema.get("required") and not schema.keys() & {"additionalProperties", "patternProperties", *_BESIDE}


def _is_choice_of_objects(schema: Schema) -> bool:
    parts = schema.get("anyOf") or schema.get("oneOf") or ()
    return bool(parts) and all(part.get("type") == "object" for part in parts)
