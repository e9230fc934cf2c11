"""Content blocks of a message (https://docs.anthropic.com/en/api/messages); other types are refused by name."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Tag, WithJsonSchema

from serve.doors.json_body import TEXT_OR_LIST, Body, OtherType, by_type


class TextBlock(Body):
    """Text."""

    type: Literal["text"] = "text"
    text: str


class ThinkingBlock(Body):
    """What a model thought in an earlier turn: another model's own, which nobody else is shown."""

    type: Literal["thinking", "redacted_thinking"]


class ToolUseBlock(Body):
    """A call that the assistant made."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class PlainSource(Body):
    """A document's text."""

    type: Literal["text"]
    data: str


class BlocksSource(Body):
    """A document as blocks of text."""

    type: Literal["content"]
    content: Annotated[
        Annotated[str, Tag("Text")] | Annotated[list[TextBlock], Tag("List")],
        TEXT_OR_LIST,
    ]


class Citations(Body):
    """Whether the answer is to cite a document."""

    enabled: bool = False


class DocumentBlock(Body):
    """A document in plain text."""

    type: Literal["document"]
    source: Annotated[
        Annotated[PlainSource, Tag("Plain")] | Annotated[BlocksSource, Tag("Blocks")] | OtherType,
        by_type(text="Plain", content="Blocks"),
    ]
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None

    @property
    def text(self) -> str:
        """Its words, with what is said about it."""
        match self.source:
            case PlainSource(data=text):
                said = text
            case BlocksSource(content=content):
                said = text_of(content)
            case _:  # refused when it was read
                said = ""
        return f"{self.context}\n\n{said}" if self.context else said


_ResultBlock = Annotated[
    Annotated[TextBlock, Tag("Text")] | Annotated[DocumentBlock, Tag("Document")] | OtherType,
    by_type(text="Text", document="Document"),
]


class ToolResultBlock(Body):
    """What a tool returned; it may be nothing."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: (
        Annotated[
            Annotated[str, Tag("Text")] | Annotated[list[_ResultBlock], Tag("List")],
            TEXT_OR_LIST,
        ]
        | None
    ) = None
    is_error: bool | None = None


UserBlock = Annotated[
    Annotated[TextBlock, Tag("Text")]
    | Annotated[DocumentBlock, Tag("Document")]
    | Annotated[ToolResultBlock, Tag("ToolResult")]
    | OtherType,
    by_type(text="Text", document="Document", tool_result="ToolResult"),
]
AssistantBlock = Annotated[
    Annotated[TextBlock, Tag("Text")]
    | Annotated[ToolUseBlock, Tag("ToolUse")]
    | Annotated[ThinkingBlock, Tag("Thinking")]
    | OtherType,
    by_type(text="Text", tool_use="ToolUse", thinking="Thinking", redacted_thinking="Thinking"),
]


class UserMessage(Body):
    """A turn of the user's: words, documents, and what tools returned."""

    role: Literal["user"]
    content: Annotated[
        Annotated[str, Tag("Text")] | Annotated[list[UserBlock], Tag("List")],
        TEXT_OR_LIST,
    ]


class AssistantMessage(Body):
    """A turn of the assistant's: words and calls."""

    role: Literal["assistant"]
    content: Annotated[
        Annotated[str, Tag("Text")] | Annotated[list[AssistantBlock], Tag("List")],
        TEXT_OR_LIST,
    ]


class SystemMessage(Body):
    """What the system says between the turns."""

    role: Literal["system"]
    content: Annotated[Annotated[str, Tag("Text")] | Annotated[list[TextBlock], Tag("List")], TEXT_OR_LIST]


class OtherMessage(Body):
    """A turn of anybody else: refused by its role."""

    role: Literal["user", "assistant", "system"]


_ROLES: Final = {"assistant": "Assistant", "user": "User", "system": "System"}


def _role(value: object) -> str:
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return _ROLES.get(role, "Other") if isinstance(role, str) else "Other"


Turn = Annotated[
    Annotated[UserMessage, Tag("User")]
    | Annotated[AssistantMessage, Tag("Assistant")]
    | Annotated[SystemMessage, Tag("System")]
    | Annotated[OtherMessage, Tag("Other"), WithJsonSchema({"not": {}})],
    Discriminator(_role),
]


def text_of(content: str | Sequence[object] | None) -> str:
    """The words of a content: its blocks of text and its documents, a line each; nothing where there are none."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(block.text for block in content if isinstance(block, TextBlock | DocumentBlock))
