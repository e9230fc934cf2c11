"""The `tool_calls` suite: are the right tools called with the right arguments, and none if none fits?

Reads BFCL rows `{messages, tools, ground_truth, category}` (each argument a list of allowed values) and rows with one
reference answer `{messages, tools, calls}`. Tools are OpenAI's, or BFCL's own form. Calls pair off in any order, one to
one (`matching`); with nothing wanted, an answer is right when it makes no call. Rows with `missing` (names of required
parameters that the request lacks) want a question: no call, and words that ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from experts.evaluation.suites.ast_rules import Call, Wanted, exactly, fits, wire_name
from experts.evaluation.suites.matching import can_pair
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, field, read_messages
from protos import chat_pb2

_ASKS = re.compile(r"[?？؟]|\bplease (tell|give|let|provide|specify|enter|say)\b", re.IGNORECASE)
_SCHEMA_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}


class ToolCallSuite:
    """Implements `experts.evaluation.suites.suite.Suite`.

    Scores: `overall` and one for each category; where calls are wanted `names` (the right tools, whatever the
    arguments), and for rows with one reference answer `exact` (arguments equal to the letter); `broken` is the share of
    answers with a call that does not parse.
    """

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case: a conversation with tools."""
        name = str(row.get("id", index))
        functions = [_function(tool, name) for tool in field(row, "tools", list, name)]
        tools = [
            chat_pb2.Tool(
                name=wire_name(function["name"]),
                description=str(function.get("description") or ""),
                parameters_json=json.dumps(_as_json_schema(function.get("parameters") or {}), ensure_ascii=False),
            )
            for function in functions
        ]
        wanted_calls(row, name)
        return Case(name, chat_pb2.Conversation(messages=read_messages(row, name), tools=tools), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Pair the calls of an answer with the wanted ones."""
        wanted, made, is_broken = wanted_calls(case.row, case.name), reply.calls, reply.broken > 0
        schemas = _schemas(case.row)
        right = not is_broken and can_pair(
            wanted, made, lambda want, call: fits(want, call, schemas.get(wire_name(call.name), {}))
        )
        if case.row.get("missing"):
            right = right and asks(reply.text)
        verdict: dict[str, bool | float] = {"overall": right, _category(case.row, wanted): right}
        verdict["broken"] = is_broken
        if wanted:
            verdict["names"] = not is_broken and _same_names(wanted, made)
        if "calls" in case.row and wanted:
            verdict["exact"] = not is_broken and can_pair(case.row["calls"], made, _is_exactly)
        return verdict

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def asks(answer: str) -> bool:
    """Say whether an answer asks for something: it has a question, or tells the user to say it."""
    return _ASKS.search(answer) is not None


def wanted_calls(row: Row, where: str) -> list[Wanted]:
    """Read what a row asks for.

    Raises:
        RowError: it has neither `ground_truth` nor `calls`, or one of another shape.
    """
    try:
        if "calls" in row:
            return [Wanted(call["name"], exactly(call["arguments"])) for call in row["calls"]]
        is_irrelevance = "irrelevance" in str(row.get("category", ""))  # whose rows may come without ground truth
        calls = row.get("ground_truth") if is_irrelevance else row["ground_truth"]
        return [Wanted(name, dict(allowed)) for call in calls or () for name, allowed in call.items()]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise RowError(f"{where}: ground_truth or calls is missing or has another shape") from None


def _category(row: Row, wanted: Sequence[Wanted]) -> str:
    """Name the row's kind: its own category, else by how many calls it wants."""
    if "category" in row:
        return str(row["category"])
    return ("irrelevance", "one call")[len(wanted)] if len(wanted) < 2 else "several calls"


def _same_names(wanted: Sequence[Wanted], made: Sequence[Call]) -> bool:
    return sorted(wire_name(want.name) for want in wanted) == sorted(wire_name(call.name) for call in made)


def _is_exactly(reference: Mapping[str, Any], made: Call) -> bool:
    """Compare as JSON, where true is not 1 and 1 is not 1.0."""
    same = _canonical(reference["arguments"]) == _canonical(made.arguments)
    return wire_name(reference["name"]) == wire_name(made.name) and same


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def _function(tool: Any, where: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    match tool:
        case {"function": {"name": str(), **rest}} if isinstance(rest.get("parameters") or {}, dict):
            return dict(tool["function"])
        case {"name": str(), **rest} if isinstance(rest.get("parameters") or {}, dict):
            return dict(tool)
        case _:
            raise RowError(f"{where}: a tool has no name, or its parameters are no object")


def _schemas(row: Row) -> dict[str, Mapping[str, Any]]:
    functions = [tool.get("function", tool) for tool in row["tools"]]
    return {wire_name(function["name"]): function.get("parameters") or {} for function in functions}


def _as_json_schema(schema: Any) -> Any:  # noqa: ANN401  # JSON
    """Rename BFCL's types to JSON Schema's, at every depth; a schema that has none of them comes out as it was."""
    if not isinstance(schema, dict):
        return schema
    fixed = dict(schema)
    if isinstance(kind := fixed.get("type"), str):
        fixed["type"] = _SCHEMA_TYPES.get(kind, kind)
    if isinstance(properties := fixed.get("properties"), dict):
        fixed["properties"] = {name: _as_json_schema(part) for name, part in properties.items()}
    if "items" in fixed:
        fixed["items"] = _as_json_schema(fixed["items"])
    return fixed
