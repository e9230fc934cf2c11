"""Input items of `POST /v1/responses`, and their translation into the core's messages.

Items are finer than messages: an assistant's words and each of its calls are items of their own, and one message here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Tag

from protos import chat_pb2 as chat
from serve.doors.json_body import TEXT_OR_LIST, Body, OtherType, by_type

_ROLES: Final = {
    "system": chat.ROLE_SYSTEM,
    "developer": chat.ROLE_SYSTEM,
    "user": chat.ROLE_USER,
    "assistant": chat.ROLE_ASSISTANT,
}


class TextPart(Body):
    """Words, going in or come out before."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class RefusalPart(Body):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: str


Part = Annotated[
    Annotated[TextPart, Tag("Text")] | Annotated[RefusalPart, Tag("Refusal")] | OtherType,
    by_type(input_text="Text", output_text="Text", text="Text", refusal="Refusal"),
]
Content = Annotated[Annotated[str, Tag("Text")] | Annotated[list[Part], Tag("List")], TEXT_OR_LIST]


class MessageItem(Body):
    """Somebody's words; also an output message that comes back."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Content


class FunctionCallItem(Body):
    """A call that the assistant made."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutputItem(Body):
    """What a function returned; it may be nothing."""

    type: Literal["function_call_output"]
    call_id: str
    output: Content


class ReasoningItem(Body):
    """What a model reasoned in an earlier turn: another model's own, which nobody else is shown."""

    type: Literal["reasoning"]


class FileSearchCallItem(Body):
    """A file search of an earlier turn: what it found, that turn's answer says."""

    type: Literal["file_search_call"]


class ItemReference(Body):
    """An output item of a response that is kept, by its id."""

    type: Literal["item_reference"]
    id: str


def _typed(value: object) -> object:
    """Write the type of an item down that has none: with an id and no role it is a reference."""
    if isinstance(value, dict) and value.get("type") is None and "id" in value and "role" not in value:
        return {**value, "type": "item_reference"}
    return value


InputItem = Annotated[
    Annotated[MessageItem, Tag("Message")]
    | Annotated[FunctionCallItem, Tag("Call")]
    | Annotated[FunctionCallOutputItem, Tag("Output")]
    | Annotated[ReasoningItem, Tag("Reasoning")]
    | Annotated[FileSearchCallItem, Tag("Search")]
    | Annotated[ItemReference, Tag("Reference")]
    | OtherType,
    by_type(
        missing="Message",
        message="Message",
        function_call="Call",
        function_call_output="Output",
        reasoning="Reasoning",
        file_search_call="Search",
        item_reference="Reference",
    ),
    BeforeValidator(_typed),
]


@dataclass
class Turns:
    """Messages under translation.

    Attributes:
        messages: the core's.
        places: where in the request each came from.
    """

    messages: list[chat.Message] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, message: chat.Message, place: str) -> None:
        """Append a message."""
        self.messages.append(message)
        self.places.append(place)

    def add_all(self, messages: Sequence[chat.Message], place: str) -> None:
        """Append messages that came from one place."""
        for message in messages:
            self.add(message, place)

    def add_item(self, item: object, place: str) -> None:
        """Append an item that is no reference; a call joins the assistant's message before it."""
        match item:
            case MessageItem():
                self.add(chat.Message(role=_ROLES[item.role], content=text_of(item.content)), place)
            case FunctionCallItem():
                call = chat.ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
                if not self.messages or self.messages[-1].role != chat.ROLE_ASSISTANT:
                    self.add(chat.Message(role=chat.ROLE_ASSISTANT), place)
                self.messages[-1].tool_calls.append(call)
            case FunctionCallOutputItem():
                content = text_of(item.output)
                self.add(chat.Message(role=chat.ROLE_TOOL, content=content, tool_call_id=item.call_id), place)


def text_of(content: str | Sequence[object]) -> str:
    """The words of a content, a line each part."""
    if isinstance(content, str):
        return content
    words = []
    for part in content:
        match part:
            case TextPart(text=said) | RefusalPart(refusal=said):
                words.append(said)
    return "\n".join(words)
