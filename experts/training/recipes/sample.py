"""One training sample: a conversation as a client sends it, and what the expert should say next.

Recipes make samples, `experts.training` encodes them through the prompts that serving uses. An inconsistent row is
refused here, once for every recipe.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from experts.conversation.prompts import calls_answer, plan_answer
from protos import chat_pb2

Json = Mapping[str, Any]

_ROLES: Final = {
    "system": chat_pb2.ROLE_SYSTEM,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
    "tool": chat_pb2.ROLE_TOOL,
}


class BadSample(ValueError):
    """A row cannot be learnt from; the message says what is wrong, without the row's text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What to learn. `rejected` is what not to say, for methods that learn from pairs."""

    conversation: chat_pb2.Conversation
    answer: str
    rejected: str = ""


@contextmanager
def one_shape(source: str) -> Iterator[None]:
    """Name the source where a row of it lacks what is read, or has another type there; never the row's text.

    Raises:
        BadSample: a row has another shape.
    """
    try:
        yield
    except BadSample:
        raise
    except KeyError as error:
        raise BadSample(f"{source}: a row has another shape: {error} is missing") from None
    except (TypeError, AttributeError, IndexError, ValueError) as error:
        raise BadSample(f"{source}: a row has another shape: {type(error).__name__}") from None


def read_seed(row: Json) -> Sample:
    """Read a row in OpenAI's shape: `messages`, `tools`, `documents`, then `calls` or `answer`, and maybe `rejected`.

    With `plan`, the calls are the steps of one.

    Raises:
        BadSample: a part is missing or has another shape.
    """
    try:
        conversation = chat_pb2.Conversation(
            messages=read_messages(row["messages"]),
            tools=read_tools(row.get("tools") or ()),
            documents=[
                chat_pb2.Document(title=document.get("title") or "", text=document["text"])
                for document in row.get("documents") or ()
            ],
            plan=True if row.get("plan") else None,
        )
        written = plan_answer if conversation.plan else calls_answer
        answer = written(row["calls"]) if "calls" in row else str(row["answer"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadSample(f"a row has another shape: {type(error).__name__}: {error}") from None
    if not conversation.messages or not answer.strip():
        raise BadSample("a row has no message or no answer")
    return Sample(conversation, answer, str(row.get("rejected") or ""))


def read_tools(tools: Sequence[Json]) -> list[chat_pb2.Tool]:
    """Read OpenAI's `tools`."""
    return [_tool(tool["function"]) for tool in tools]


def read_messages(messages: Iterable[Json]) -> list[chat_pb2.Message]:
    """Read OpenAI's `messages`."""
    return [_message(message) for message in messages]


def ask(text: str, **parts: Any) -> chat_pb2.Conversation:  # fields of the message
    """Make the conversation in which a user says one thing."""
    return chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)], **parts)


def _tool(function: Json) -> chat_pb2.Tool:
    schema = json.dumps(function.get("parameters") or {}, ensure_ascii=False)
    return chat_pb2.Tool(name=function["name"], description=function.get("description") or "", parameters_json=schema)


def _message(message: Json) -> chat_pb2.Message:
    calls = [
        chat_pb2.ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    return chat_pb2.Message(
        role=_ROLES[message["role"]],
        content=message.get("content") or "",
        name=message.get("name") or "",
        tool_calls=calls,
        tool_call_id=message.get("tool_call_id") or "",
    )
