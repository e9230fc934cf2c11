"""The `traffic` suite: does an expert answer as people have liked it? For rows of a curated set (`held_out.jsonl`).

Reads rows in the form of the recipes' seeds: `messages`, `tools`, `plan`, `documents`, `response_format`, then
`calls` or `answer`, which somebody has liked. Scores:

* `like`: how much of it the new answer shares, 0..1: ROUGE-L of words, the letter for calls;
* `same`: it is the same, spaces apart;
* `called`: it calls tools exactly where the liked one does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experts.evaluation.suites.ast_rules import Call, wire_name
from experts.evaluation.suites.matching import can_pair
from experts.evaluation.suites.overlap import rouge_l
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply
from protos import chat_pb2 as chat

_ROLES = {
    "system": chat.ROLE_SYSTEM,
    "developer": chat.ROLE_SYSTEM,
    "user": chat.ROLE_USER,
    "assistant": chat.ROLE_ASSISTANT,
    "tool": chat.ROLE_TOOL,
}


class TrafficSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case; it needs what somebody has liked."""
        name = str(row.get("id", index))
        try:
            liked = row["calls"] if "calls" in row else row["answer"]
            conversation = chat.Conversation(
                messages=[_message(message) for message in row["messages"]],
                tools=[_tool(tool["function"]) for tool in row.get("tools") or ()],
                documents=[
                    chat.Document(title=document.get("title") or "", text=document["text"])
                    for document in row.get("documents") or ()
                ],
                plan=True if row.get("plan") else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise RowError(f"{name}: it has another shape: {type(error).__name__}") from None
        if not liked or not conversation.messages:
            raise RowError(f"{name}: there are no messages, or nothing that was liked")
        return Case(name, conversation, row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Compare an answer with the liked one."""
        calls = case.row.get("calls")
        if calls:
            same = not reply.broken and can_pair(calls, reply.calls, _is_same)
            return {"like": float(same), "same": same, "called": bool(reply.calls)}
        liked = str(case.row["answer"])
        is_answer = not reply.calls and not reply.broken
        return {
            "like": rouge_l(reply.text, liked) if is_answer else 0.0,
            "same": is_answer and reply.text.split() == liked.split(),
            "called": is_answer,
        }

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def _message(message: Mapping[str, Any]) -> chat.Message:
    calls = [
        chat.ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    return chat.Message(
        role=_ROLES[message["role"]],
        content=message.get("content") or "",
        tool_calls=calls,
        tool_call_id=message.get("tool_call_id") or "",
    )


def _tool(function: Mapping[str, Any]) -> chat.Tool:
    schema = json.dumps(function.get("parameters") or {}, ensure_ascii=False)
    return chat.Tool(name=function["name"], description=function.get("description") or "", parameters_json=schema)


def _is_same(liked: Mapping[str, Any], made: Call) -> bool:
    """Compare as JSON, where true is not 1 and 1 is not 1.0."""
    arguments = [json.dumps(one, sort_keys=True) for one in (liked["arguments"], made.arguments)]
    return wire_name(liked["name"]) == wire_name(made.name) and arguments[0] == arguments[1]
