"""Checks that a row must pass before training uses it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


def fits_schema(arguments: object, schema: Mapping[str, Any]) -> bool:
    """Say whether a call's arguments have the types that the tool wants, and no names that it does not know."""
    known = schema.get("properties") or {}
    if not isinstance(arguments, dict) or not set(arguments) <= set(known):
        return False
    return bool(Draft202012Validator(schema).is_valid(arguments))


def is_python(code: str) -> bool:
    """Say whether a text is Python that compiles."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True
