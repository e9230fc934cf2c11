"""Translates a Messages body into the core's conversation, and remembers where each part of it came from.

A user's turn may hold several of the core's messages: one for each tool's result, one for the words between them.
Documents, wherever they stand, are numbered in their order; the core shows them before the last user message.
"""

from dataclasses import dataclass, field
from typing import Final

import orjson

from experts.conversation.request_limits import MAX_DOCUMENTS
from protos import chat_pb2 as chat
from serve.doors.anthropic_api.blocks import (
    AssistantMessage,
    DocumentBlock,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
    text_of,
)
from serve.doors.anthropic_api.bodies import PromptBody, ToolBody, ToolChoiceBody
from serve.doors.field_names import FieldNames
from serve.doors.own_fields import to_documents, tool_places
from serve.errors import InvalidRequest

_MODES: Final = {
    "auto": chat.ToolChoice.MODE_AUTO,
    "any": chat.ToolChoice.MODE_REQUIRED,
    "tool": chat.ToolChoice.MODE_NAMED,
    "none": chat.ToolChoice.MODE_NONE,
}
_WORDS: Final = {
    "function": "",
    "parameters": "input_schema",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
}


@dataclass
class Translation:
    """A conversation under translation.

    Attributes:
        messages: the core's.
        documents: likewise.
        message_places: where in the body each message came from; likewise `document_places`.
        tool_places: likewise, where tools are left out.
        cites: whether citations were asked for.
    """

    messages: list[chat.Message] = field(default_factory=list)
    documents: list[chat.Document] = field(default_factory=list)
    message_places: list[str] = field(default_factory=list)
    document_places: list[str] = field(default_factory=list)
    tool_places: dict[str, list[str]] = field(default_factory=dict)
    cites: bool = False

    @property
    def names(self) -> FieldNames:
        """What the client calls the fields."""
        places = {"messages": self.message_places, "documents": self.document_places, **self.tool_places}
        return FieldNames(places, _WORDS, {"tool_call_id": "tool_use_id"})

    def add(self, message: chat.Message, place: str) -> None:
        """Append a message."""
        self.messages.append(message)
        self.message_places.append(place)

    def add_document(self, document: chat.Document, place: str) -> None:
        """Append a document.

        Raises:
            InvalidRequest: there are too many.
        """
        if len(self.documents) == MAX_DOCUMENTS:
            raise InvalidRequest(f"'{place}': at most {MAX_DOCUMENTS} documents", param=place)
        self.documents.append(document)
        self.document_places.append(place)


def translate(body: PromptBody) -> tuple[chat.Conversation, Translation]:
    """Translate a body.

    Raises:
        InvalidRequest: a tool choice names no tool, or there are too many documents.
    """
    done = Translation()
    if system := text_of(body.system):
        done.add(chat.Message(role=chat.ROLE_SYSTEM, content=system), "system")
    for i, turn in enumerate(body.messages):
        if isinstance(turn, AssistantMessage):
            done.add(_assistant(turn), f"messages[{i}].content")
        elif isinstance(turn, UserMessage):
            _add_user(done, turn, f"messages[{i}].content")
        elif isinstance(turn, SystemMessage):
            done.add(chat.Message(role=chat.ROLE_SYSTEM, content=text_of(turn.content)), f"messages[{i}].content")
    for i, document in enumerate(to_documents(body.documents)):
        done.add_document(document, f"documents[{i}]")
        done.cites = True
    tools = {place: tool for place, tool in enumerate(body.tools or ()) if isinstance(tool, ToolBody)}
    done.tool_places = tool_places(body.tools or (), list(tools))
    conversation = chat.Conversation(
        messages=done.messages,
        tools=map(_tool, tools.values()),
        tool_choice=_tool_choice(body.tool_choice),
        documents=done.documents,
        parallel_tool_calls=_parallel(body.tool_choice),
        response_format=_response_format(body),
    )
    return conversation, done


def _add_user(done: Translation, turn: UserMessage, place: str) -> None:
    """Add a user's turn; words that stand together are one message."""
    if isinstance(turn.content, str):
        done.add(chat.Message(role=chat.ROLE_USER, content=turn.content), place)
        return
    words: list[str] = []
    for i, block in enumerate(turn.content):
        match block:
            case TextBlock(text=text):
                words.append(text)
            case DocumentBlock():
                document = chat.Document(title=block.title or "", text=block.text)
                done.add_document(document, f"{place}[{i}].source")
                done.cites |= block.citations is not None and block.citations.enabled
            case ToolResultBlock():
                _add_words(done, words, place)
                done.add(_result(block), f"{place}[{i}]")
    has_result = any(isinstance(block, ToolResultBlock) for block in turn.content)
    if words or not has_result:
        done.add(chat.Message(role=chat.ROLE_USER, content="\n".join(words)), place)


def _add_words(done: Translation, words: list[str], place: str) -> None:
    if words:
        done.add(chat.Message(role=chat.ROLE_USER, content="\n".join(words)), place)
        words.clear()


def _result(block: ToolResultBlock) -> chat.Message:
    """A tool's result; the core has no mark for a failure, so the words say it."""
    said = text_of(block.content)
    content = f"Error: {said}" if block.is_error else said
    return chat.Message(role=chat.ROLE_TOOL, content=content, tool_call_id=block.tool_use_id)


def _assistant(turn: AssistantMessage) -> chat.Message:
    """An assistant's turn; an answer with citations comes in several blocks of one text."""
    if isinstance(turn.content, str):
        return chat.Message(role=chat.ROLE_ASSISTANT, content=turn.content)
    text = "".join(block.text for block in turn.content if isinstance(block, TextBlock))
    calls = [
        chat.ToolCall(id=block.id, name=block.name, arguments=orjson.dumps(block.input).decode())
        for block in turn.content
        if isinstance(block, ToolUseBlock)
    ]
    return chat.Message(role=chat.ROLE_ASSISTANT, content=text, tool_calls=calls)


def _tool(tool: ToolBody) -> chat.Tool:
    schema = orjson.dumps(tool.input_schema).decode()
    description = tool.description or ""
    return chat.Tool(name=tool.name, description=description, parameters_json=schema, strict=bool(tool.strict))


def _tool_choice(choice: ToolChoiceBody | None) -> chat.ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "tool" and choice.name is None:
        raise InvalidRequest("'tool_choice.name' is required", param="tool_choice.name")
    return chat.ToolChoice(mode=_MODES[choice.type], name=choice.name or "")


def _parallel(choice: ToolChoiceBody | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _response_format(body: PromptBody) -> chat.ResponseFormat | None:
    if body.output_config is None or body.output_config.format is None:
        return None
    schema = orjson.dumps(body.output_config.format.schema_).decode()
    return chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema, strict=True)
