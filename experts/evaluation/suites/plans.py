"""The `plans` suite: is a plan made of the right steps, in the right order of dependencies, with the right arguments?

Reads rows `{query, tools, plan: [{"id", "tool", "args": {}}]}` with OpenAI's tools; a step's arguments refer to earlier
ones by `$1` or `$1.field`. `plan_graph` compares graphs. Names of an earlier result's fields are nobody's to know,
since no row tells what a tool returns: two references are the same if they mean steps of one tool.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from experts.evaluation.suites.ast_rules import Call, wire_name
from experts.evaluation.suites.plan_graph import edit_distance, graph_of, is_isomorphic, shared
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, asked, field
from experts.json_schema.references import MAX_STEPS, references
from protos import chat_pb2

Step = tuple[int, str, Mapping[str, Any]]
_REFERENCE = re.compile(r"\$\{?([1-9][0-9]{0,3})(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\])*\}?")
_IGNORED = re.compile(r"[ ,./\-_*^]")


class PlanSuite:
    """Implements `experts.evaluation.suites.suite.Suite`.

    Scores: `graph` (isomorphic to the reference), `args` (share of steps with the right tool and arguments), `whole`
    (both, without a mistake), `tool_recall` (share of the reference's tools that are called, each as often), `edits`
    (edit distance, as a share of both graphs' nodes and edges), `saved` (share of the model's answers that a right plan
    saves against one call at a time), `valid` (it parses, calls known tools, and refers to no later step).
    """

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case: a question with tools that wants a plan."""
        name = str(row.get("id", index))
        conversation = asked(field(row, "query", str, name))
        conversation.plan = True
        conversation.tools.extend(_tool(tool, name) for tool in field(row, "tools", list, name))
        wanted_steps(row, name)
        return Case(name, conversation, row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Compare a plan with the reference."""
        wanted = wanted_steps(case.row, case.name)
        made = made_steps(reply.calls)
        one, other = graph_of(wanted), graph_of(made)
        is_right = not reply.broken and is_isomorphic(one, other)
        pairs = _paired(wanted, made)
        args = pairs / max(len(wanted), len(made))
        size = len(one.tools) + len(other.tools) + one.edges + other.edges
        return {
            "graph": is_right,
            "args": args,
            "whole": is_right and pairs == len(wanted) == len(made),
            "tool_recall": shared(Counter(one.tools), Counter(other.tools)) / len(wanted),
            "edits": edit_distance(one, other) / size,
            "saved": (len(wanted) - 1) / len(wanted) if is_right else 0.0,
            "valid": _is_valid(case.conversation, reply),
        }

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def wanted_steps(row: Row, where: str) -> list[Step]:
    """Read the reference.

    Raises:
        RowError: it is missing, empty, or of another shape.
    """
    try:
        steps: list[Step] = [
            (int(step["id"]), wire_name(str(step["tool"])), dict(step["args"])) for step in row["plan"]
        ]
    except (KeyError, TypeError, ValueError):
        raise RowError(f"{where}: plan is missing or has another shape") from None
    if not steps:
        raise RowError(f"{where}: the plan has no step")
    return steps


def made_steps(calls: Sequence[Call]) -> list[Step]:
    """Number the calls of an answer, as a client does."""
    return [(number, wire_name(call.name), call.arguments) for number, call in enumerate(calls, start=1)]


def _is_valid(conversation: chat_pb2.Conversation, reply: Reply) -> bool:
    """Say whether it is a plan that can be carried out: types apart, which the engine's reader has checked."""
    names = {tool.name for tool in conversation.tools}
    backwards = all(
        not number <= found <= MAX_STEPS
        for number, call in enumerate(reply.calls, start=1)
        for found in references(call.arguments)
    )
    return bool(reply.calls) and not reply.broken and backwards and all(call.name in names for call in reply.calls)


def _paired(wanted: Sequence[Step], made: Sequence[Step]) -> int:
    """Pair off as many steps as have one tool and the same arguments; being the same is transitive, so bags will do."""
    return shared(Counter(_told(wanted)), Counter(_told(made)))


def _told(steps: Sequence[Step]) -> list[tuple[str, Any]]:
    """Write each step's tool and arguments so that equal ones are the same; references by the tool that they mean."""
    tools: dict[int, str] = {}
    told = []
    for number, tool, arguments in steps:
        told.append((tool, _value(arguments, dict(tools))))
        tools[number] = tool
    return told


def _value(value: Any, tools: Mapping[int, str]) -> Any:  # noqa: ANN401  # JSON
    """Write a value as it is compared: 2 and "2", true and "True" are the same, and so is another case or dash."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), _value(inner, tools)) for key, inner in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *(_value(inner, tools) for inner in value))
    text = _REFERENCE.sub(lambda found: _meant(found, tools), str(value))
    return _IGNORED.sub("", text.lower()) or text


def _meant(found: re.Match[str], tools: Mapping[int, str]) -> str:
    number = int(found[1])
    return f"\0{tools[number]}\0" if number in tools else found[0]


def _tool(tool: Any, where: str) -> chat_pb2.Tool:  # noqa: ANN401  # JSON
    match tool:
        case {"function": {"name": str(name), **rest}} if isinstance(rest.get("parameters") or {}, dict):
            return chat_pb2.Tool(
                name=wire_name(name),
                description=str(rest.get("description") or ""),
                parameters_json=json.dumps(rest.get("parameters") or {}, ensure_ascii=False),
            )
        case _:
            raise RowError(f"{where}: a tool has no name, or its parameters are no object")
