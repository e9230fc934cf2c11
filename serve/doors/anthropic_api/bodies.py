"""Anthropic's request bodies: checks their types and translates them into the core's request.

Sources: https://docs.anthropic.com/en/api/messages and .../messages-count-tokens. What moegate knows and does not offer
is refused by name, and so is a parameter that is not known. `serve.validation.rules` checks what all doors share.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from experts.conversation.request_limits import MAX_DOCUMENTS, MAX_MESSAGES, MAX_OFFERED_TOOLS
from serve.doors.anthropic_api.blocks import TextBlock, Turn
from serve.doors.json_body import TEXT_OR_LIST, Body, OtherType, by_type
from serve.doors.not_offered import NotOffered
from serve.doors.own_fields import Document, RetrievalBody, RoutingFields, ToolsetBody

_UINT32_MAX = 2**32 - 1


class ToolBody(Body):
    """A tool that the client runs."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


Tool = Annotated[
    Annotated[ToolBody, Tag("Custom")] | Annotated[ToolsetBody, Tag("Toolset")] | OtherType,
    by_type(custom="Custom", missing="Custom", toolset="Toolset"),
]


class ToolChoiceBody(Body):
    """Whether, and which, tool is to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class JsonSchemaFormat(Body):
    """The schema that the answer is to follow."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    """What form the answer takes; `effort` is for models that think, and ignored."""

    format: JsonSchemaFormat | None = None


class PromptBody(RoutingFields):
    """What a prompt is made of: both endpoints have it."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="auto (or moegate) lets the router decide; an expert's name pins it")
    messages: list[Turn] = Field(max_length=MAX_MESSAGES)
    system: Annotated[Annotated[str, Tag("Text")] | Annotated[list[TextBlock], Tag("List")], TEXT_OR_LIST] | None = None
    tools: list[Tool] | None = Field(None, max_length=MAX_OFFERED_TOOLS)
    tool_choice: ToolChoiceBody | None = None
    output_config: OutputConfig | None = None
    documents: list[Document] | None = Field(
        None, max_length=MAX_DOCUMENTS, description="moegate's own: as in /v1/chat/completions"
    )
    retrieval: RetrievalBody | None = Field(None, description="moegate's own: as in /v1/chat/completions")
    thinking: dict[str, Any] | None = Field(None, description="Taken and ignored: no expert thinks apart")
    cache_control: dict[str, Any] | None = Field(None, description="Taken and ignored: nothing is cached")
    speed: Annotated[object, NotOffered("standard")] = None
    context_management: dict[str, Any] | None = Field(None, description="Taken and ignored: turns stay as they came")
    mcp_servers: Annotated[object, NotOffered([])] = None


class MessagesBody(PromptBody):
    """POST /v1/messages."""

    max_tokens: int = Field(ge=1, le=_UINT32_MAX)
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[object, NotOffered()] = None
    container: Annotated[object, NotOffered()] = None
    metadata: dict[str, Any] | None = Field(None, description="Taken and ignored")
    diagnostics: dict[str, Any] | None = Field(None, description="Taken and ignored: nothing is cached")
    service_tier: Literal["auto", "standard_only"] | None = Field(None, description="Taken and ignored")
    inference_geo: str | None = Field(None, description="Taken and ignored")
