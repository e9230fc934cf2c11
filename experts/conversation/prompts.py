"""From a conversation on the wire to the turns that a model's chat template takes.

Called by `experts.cluster.deployment` before the engine. Every model gets tools, calls and results as plain text in the
three roles that all templates know (system, user, assistant), in the mark-up from which the fine-tuned experts learn.
Documents are numbered and placed before the words of the last user message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experts.catalog.spec import ExpertSpec
from experts.conversation.bounded_json import OutOfBounds, read_bounded
from experts.conversation.ranking import best
from experts.conversation.tool_call import serialise
from experts.conversation.tool_signatures import shape, signature
from experts.engine import InvalidRequest, Turn
from protos import chat_pb2

_ToolMode = chat_pb2.ToolChoice.Mode
_ROLES = {chat_pb2.ROLE_SYSTEM: "system", chat_pb2.ROLE_USER: "user", chat_pb2.ROLE_ASSISTANT: "assistant"}

_MUST_CALL = (_ToolMode.MODE_REQUIRED, _ToolMode.MODE_NAMED)
_HOW_TO_CALL = 'To call one, answer with <tool_call>{"name": ..., "arguments": {...}}</tool_call>, one line a call.'
_HOW_TO_PLAN = (
    'Plan the calls, one line a step: <tool_call>{"id": 1, "name": ..., "arguments": {...}}</tool_call>. Where a later'
    ' step needs the result of step 1, write "$1", or "$1.field" for a field of it.'
)
_INSTEAD_OF_A_CALL = "If you need no tool, take these values from the conversation and answer with one JSON object:"
_FROM_THE_WORDS = "Take these values from the user's message and answer with one JSON object:"


def render_turns(
    conversation: chat_pb2.Conversation,
    system_prompt: str,
    max_documents: int | None = None,
    documents_prompt: str = "",
) -> tuple[Turn, ...]:
    """Render a conversation; `system_prompt` is used where the client sent no system message.

    `documents_prompt` is added to either of them where there are documents.

    Of more than `max_documents` documents those nearest to the question are shown, under the numbers that they had; the
    first ones where the conversation says that they stand best first.

    Raises:
        InvalidRequest: there is no message, a role is unset, a tool's parameters are not JSON, JSON is beyond its
            bounds, or documents come without a user message.
    """
    if not conversation.messages:
        raise InvalidRequest("the conversation has no message")
    turns = _merge_tool_results(_with_documents(conversation, max_documents))
    client_system = turns[0].content if turns[0].role == "system" else None
    body = turns if client_system is None else turns[1:]
    # Front ends send an empty system message where nothing is set.
    instruction = _instruction(conversation, client_system or system_prompt, documents_prompt)
    parts = [instruction, _tools(conversation), _form(conversation)]
    system = "\n\n".join(filter(None, parts))
    return (Turn("system", system), *body) if system else tuple(body)


def render_for(spec: ExpertSpec, conversation: chat_pb2.Conversation) -> tuple[Turn, ...]:
    """Render a conversation as an expert of the catalogue is asked; raises as `render_turns` does."""
    return render_turns(conversation, spec.system_prompt, spec.max_documents, spec.documents_prompt)


def complete_for(spec: ExpertSpec, conversation: chat_pb2.Conversation) -> chat_pb2.Conversation:
    """Put the documents and the system prompt into the messages, for a server that renders them itself.

    The same words as `render_for` shows, but tools, calls and results stay what they are. Raises as it does.
    """
    complete = chat_pb2.Conversation()
    complete.CopyFrom(conversation)
    messages = _with_documents(conversation, spec.max_documents)
    is_system = messages[0].role == chat_pb2.ROLE_SYSTEM
    told = _instruction(conversation, (is_system and messages[0].content) or spec.system_prompt, spec.documents_prompt)
    del complete.messages[:], complete.documents[:]
    complete.messages.extend([chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, content=told)] if told else [])
    complete.messages.extend(messages[is_system:])
    return complete


def _instruction(conversation: chat_pb2.Conversation, instruction: str, documents_prompt: str) -> str:
    return " ".join(filter(None, [instruction, documents_prompt if conversation.documents else ""]))


def callable_tools(conversation: chat_pb2.Conversation) -> list[chat_pb2.Tool]:
    """List the tools that the model may call: none, all, or the one that is named."""
    choice = conversation.tool_choice
    if choice.mode == _ToolMode.MODE_NONE:
        return []
    return [tool for tool in conversation.tools if choice.mode != _ToolMode.MODE_NAMED or tool.name == choice.name]


def _numbered(documents: Sequence[chat_pb2.Document], shown: Iterable[int]) -> str:
    """Number documents from 1, a line for each one shown, as ALCE shows passages to a model that is to cite them."""
    return "\n".join(_document(at + 1, documents[at]) for at in shown)


def _document(number: int, document: chat_pb2.Document) -> str:
    title = f"(Title: {_one_line(document.title)})" if document.title.strip() else ""
    return f"Document [{number}]{title}: {_one_line(document.text)}"


def _one_line(text: str) -> str:
    return " ".join(filter(None, map(str.strip, text.splitlines())))


def _with_documents(conversation: chat_pb2.Conversation, most: int | None) -> Sequence[chat_pb2.Message]:
    """Put the documents before the words of the last user message."""
    messages = list(conversation.messages)
    if not conversation.documents:
        return messages
    last = max((at for at, message in enumerate(messages) if message.role == chat_pb2.ROLE_USER), default=None)
    if last is None:
        raise InvalidRequest("documents need a user message")
    asked = chat_pb2.Message()
    asked.CopyFrom(messages[last])
    documents = conversation.documents
    most = most or len(documents)
    is_ranked = conversation.documents_are_ranked
    first = range(min(most, len(documents)))
    shown = first if is_ranked else best(asked.content, documents, most, conversation.nearness)
    asked.content = f"{_numbered(documents, shown)}\n\n{_spoken(asked).content}"
    asked.name = ""
    messages[last] = asked
    return messages


def _merge_tool_results(messages: Iterable[chat_pb2.Message]) -> list[Turn]:
    """Render each message; results that answer parallel calls share one user turn."""
    turns: list[Turn] = []
    tool_names: dict[str, str] = {}
    after_tool = False
    for message in messages:
        tool_names.update((call.id, call.name) for call in message.tool_calls)
        is_tool = message.role == chat_pb2.ROLE_TOOL
        turn = _tool_result(message, tool_names) if is_tool else _spoken(message)
        if is_tool and after_tool:
            turn = Turn("user", f"{turns.pop().content}\n{turn.content}")
        turns.append(turn)
        after_tool = is_tool
    return turns


def _spoken(message: chat_pb2.Message) -> Turn:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidRequest("a message has no role")
    calls = [call_text(call.name, _arguments(call.arguments)) for call in message.tool_calls]
    content = f"{message.name}: {message.content}" if message.name and role == "user" else message.content
    return Turn(role, "\n".join(filter(None, [content, *calls])))


def call_text(name: str, arguments: object, step: int | None = None) -> str:
    """Write a tool call as the model writes it; in a plan with the number of its step."""
    number = {} if step is None else {"id": step}
    return _marked("tool_call", {**number, "name": name, "arguments": arguments})


def calls_answer(calls: Iterable[Mapping[str, Any]]) -> str:
    """Write calls as the expert is to write them."""
    return "\n".join(call_text(call["name"], call["arguments"]) for call in calls)


def plan_answer(steps: Iterable[Mapping[str, Any]]) -> str:
    """Write the steps of a plan as the expert is to write them."""
    return "\n".join(call_text(step["name"], step["arguments"], number) for number, step in enumerate(steps, start=1))


def _tool_result(message: chat_pb2.Message, tool_names: dict[str, str]) -> Turn:
    name = message.name or tool_names.get(message.tool_call_id, "")
    return Turn("user", _marked("tool_response", {"name": name, "content": message.content}))


def _tools(conversation: chat_pb2.Conversation) -> str:
    """Describe the tools the model may call, and how; empty when it may call none."""
    tools, choice = callable_tools(conversation), conversation.tool_choice
    if not tools:
        return ""
    lines = ["You can call these tools:", *map(_describe, tools)]
    lines.append(_HOW_TO_PLAN if conversation.plan else _HOW_TO_CALL)
    if choice.mode in _MUST_CALL:
        lines.append(f"You must call {tools[0].name if len(tools) == 1 else 'at least one of them'}.")
    return "\n".join(lines)


def _form(conversation: chat_pb2.Conversation) -> str:
    """Tell the model the form that its answer is held to, lest it fights it; beside tools, when the form is for it."""
    wanted, tools = conversation.response_format, callable_tools(conversation)
    if tools and conversation.tool_choice.mode in _MUST_CALL:
        return ""
    match wanted.type:
        case chat_pb2.ResponseFormat.TYPE_JSON_OBJECT:
            return "If you need no tool, answer with a JSON object." if tools else "Answer with a JSON object."
        case chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA:
            return f"{_INSTEAD_OF_A_CALL if tools else _FROM_THE_WORDS}\n{_shape(wanted.schema_json)}"
        case _:
            return ""


def _shape(schema_json: str) -> str:
    """Write a schema in the manner of tools, in which the experts have learnt to fill in fields.

    What refers to its own parts, and what cannot be read (its own check says so later), stands as it came.
    """
    try:
        return schema_json if '"$ref"' in schema_json else shape(read_bounded(schema_json))
    except ValueError:
        return schema_json


def _describe(tool: chat_pb2.Tool) -> str:
    try:
        parameters = read_bounded(tool.parameters_json or "{}")
    except ValueError as error:
        raise InvalidRequest(f"the parameters of a tool are not JSON: {type(error).__name__}") from None
    return f"<tool>\n{_encodable(signature(tool.name, tool.description, parameters))}\n</tool>"


def _arguments(text: str) -> object:
    """Parse a call's arguments; what a model once wrote wrongly is quoted back as it was."""
    try:
        return read_bounded(text or "{}")
    except OutOfBounds as error:
        raise InvalidRequest(f"the arguments of a tool call: JSON that {error}") from None
    except ValueError:
        return text


def _marked(tag: str, content: object) -> str:
    return f"<{tag}>{serialise(content)}</{tag}>"


def _encodable(text: str) -> str:
    """Write half a surrogate pair, which UTF-8 has no bytes for, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace").decode()
