"""What tools return: as the model reads it, as references walk into it, and as later calls get it.

Any object may come back. JSON has texts, numbers, lists and objects; a dataclass is read as an object with its fields,
bytes as UTF-8, a set as a list, and anything else by `str`.
"""

import dataclasses
import json
from collections.abc import Mapping, Set
from typing import Any


class NotJson(Exception):
    """A result cannot be written as JSON; the message says why."""


def as_text(value: object) -> str:
    """Write a result for the model; half a surrogate pair, which UTF-8 has not, becomes a question mark.

    Raises:
        NotJson: it contains itself, is nested too deeply, or has keys that are no strings.
    """
    try:
        text = value if isinstance(value, str) else _dumps(value)
    except Exception as error:  # the edge of somebody's object: its `__str__` may raise anything
        raise NotJson(f"the result cannot be written as JSON ({type(error).__name__})") from error
    return text.encode(errors="replace").decode()


def as_object(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return what a reference can walk into: a result that is JSON in a string is read, a dataclass has its fields."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return fields_of(value) if _is_record(value) else value


def own(value: Any, copies: dict[int, Any] | None = None) -> Any:  # noqa: ANN401  # JSON
    """Copy the lists and objects of a result, so that a tool that changes its arguments changes nobody else's.

    Raises:
        NotJson: it is nested too deeply.
    """
    copies = {} if copies is None else copies
    if type(value) not in (list, dict) or id(value) in copies:
        return copies.get(id(value), value)
    try:
        if isinstance(value, list):
            items = copies[id(value)] = []
            items.extend(own(item, copies) for item in value)
            return items
        parts = copies[id(value)] = {}
        parts.update((key, own(part, copies)) for key, part in value.items())
    except RecursionError:
        raise NotJson("the result is nested too deeply") from None
    return parts


def fields_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass
    """Return a dataclass's fields by name."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _dumps(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> object:  # noqa: ANN401  # any object
    """Return an object that JSON does not know in terms of those that it knows."""
    if _is_record(value):
        return fields_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return list(value)
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
