"""The part of a request that the router sees: turns, tools, the documents' size, and who spoke last."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from protos import chat_pb2 as chat
from router.features.featurize import NO_DOCUMENTS, Documents, Features, RouteQuery, Turn, tool_text
from router.features.tokens import estimate_tokens

ROLE_NAMES: Final = {
    chat.ROLE_SYSTEM: "system",
    chat.ROLE_USER: "user",
    chat.ROLE_ASSISTANT: "assistant",
    chat.ROLE_TOOL: "tool",
}

_MUST_CALL: Final = frozenset({chat.ToolChoice.MODE_REQUIRED, chat.ToolChoice.MODE_NAMED})


def route_query(source: chat.Conversation | str, read: Mapping[str, Features] | None = None) -> RouteQuery:
    """Build the router's query; raw text counts as one user turn. `read`: turns that somebody has read already."""
    if isinstance(source, str):
        return RouteQuery(turns=(Turn("user", source),), read=read)
    is_result = bool(source.messages) and source.messages[-1].role == chat.ROLE_TOOL
    names = tuple([tool.name for tool in source.tools]) or (_called(source.messages) if is_result else ())
    descriptions = [tool.description for tool in source.tools] or [""] * len(names)
    return RouteQuery(
        turns=tuple([Turn(ROLE_NAMES.get(message.role, "user"), message.content) for message in source.messages]),
        tool_names=names,
        tool_text=tool_text(names, descriptions),
        has_tools=bool(names) and (is_result or source.tool_choice.mode != chat.ToolChoice.MODE_NONE),
        must_call=bool(names) and source.tool_choice.mode in _MUST_CALL,
        documents=_documents(source.documents),
        read=read,
    )


def _called(messages: Sequence[chat.Message]) -> tuple[str, ...]:
    """Name the tools that the newest calls called: some clients leave tools away where they want words of results."""
    calls = next((message.tool_calls for message in reversed(messages) if message.tool_calls), ())
    return tuple(dict.fromkeys(call.name for call in calls))


def words_query(source: chat.Conversation | str) -> RouteQuery:
    """Build the query of a request whose tools do not count: none of them fits."""
    return replace(route_query(source), tool_names=(), tool_text="", has_tools=False, must_call=False)


def _documents(documents: Sequence[chat.Document]) -> Documents:
    """Measure documents; their words stay here."""
    if not documents:
        return NO_DOCUMENTS
    texts = [part for document in documents for part in (document.title, document.text)]
    return Documents(len(documents), sum(map(len, texts)), estimate_tokens(texts))


def last_speaker(source: chat.Conversation | str, experts: Sequence[str]) -> str | None:
    """Name the expert that gave the last answer, where its message carries an expert's name (`messages[i].name`)."""
    if isinstance(source, str):
        return None
    said = next((message for message in reversed(source.messages) if message.role == chat.ROLE_ASSISTANT), None)
    return said.name if said is not None and said.name in experts else None
