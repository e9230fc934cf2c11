"""Whether a kept answer is one that an expert may learn from, by what its request asked for and no opinion of it.

Calls of tools that are there, with arguments that follow their schemas; JSON in the form that was asked for; citations
of documents that there are; Python that parses. An answer that was cut off is none.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from experts.evaluation.suites.fences import fenced_blocks
from experts.flywheel.interaction import Interaction
from experts.json_schema.conformance import Schema, conforms
from experts.json_schema.reduction import SchemaError, reduce_schema
from experts.json_schema.references import MAX_STEPS, with_references

_CITATION: Final = re.compile(r"\[(\d{1,3})\]")
_PYTHON: Final = frozenset({"python", "py", "python3"})


def fault(one: Interaction) -> str | None:
    """Say what is wrong with an answer, in a few words out of a closed set; None where nothing is."""
    if one.finish == "length":
        return "cut off"
    if not one.request.get("messages"):
        return "a raw prompt"
    calls = one.message.get("tool_calls")
    if calls:
        return _calls_fault(calls, one.request.get("tools") or (), is_plan=bool(one.request.get("plan")))
    text = one.message.get("content") or ""
    if not text.strip():
        return "empty"
    return _form_fault(text, one.request.get("response_format")) or _text_fault(text, one.request)


def _calls_fault(
    calls: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], *, is_plan: bool
) -> str | None:
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") for tool in tools}
    for number, call in enumerate(calls, start=1):
        function = call["function"]
        if function["name"] not in schemas:
            return "a tool that is not there"
        try:
            arguments = json.loads(function["arguments"])
        except ValueError:
            return "arguments that are no JSON"
        schema, step = schemas[function["name"]], number if is_plan else None
        if not isinstance(arguments, dict) or not _follows(arguments, schema, step):
            return "arguments that break the schema"
    return None


def _form_fault(text: str, form: Mapping[str, Any] | None) -> str | None:
    if form is None or form["type"] == "text":
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return "no JSON"
    schema = form.get("json_schema", {}).get("schema") if form["type"] == "json_schema" else {"type": "object"}
    return None if _follows(value, schema) else "JSON that breaks the schema"


def _text_fault(text: str, request: Mapping[str, Any]) -> str | None:
    documents = len(request.get("documents") or ())
    if documents and any(not 1 <= int(number) <= documents for number in _CITATION.findall(text)):
        return "a citation of nothing"
    for block in fenced_blocks(text):
        if not block.is_closed:
            return "code without an end"
        if block.info.split(" ")[0].lower() in _PYTHON and not _parses(block.code):
            return "Python that does not parse"
    return None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _follows(value: object, schema: object, step: int | None = None) -> bool:
    """Whether a value follows a schema, as far as the gateway's own check goes; an unreadable one steers nothing.

    `step` is a call's number in a plan: references to earlier calls follow every schema, those to later ones none.
    """
    if not isinstance(schema, Mapping):
        schema = {}
    try:
        reduced: Schema = reduce_schema(schema, "loose")
    except SchemaError:
        reduced = {}
    if step is not None:
        reduced = with_references(reduced or {"type": "object"}, min(step, MAX_STEPS))
    return conforms(value, reduced)
