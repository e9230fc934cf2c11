"""The body of `POST /v1/responses`.

Source: https://platform.openai.com/docs/api-reference/responses/create. A parameter that is not known is refused by
name, as OpenAI does, and so is a known one that moegate does not offer. `serve.validation.rules` checks what all doors
share.
"""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag

from experts.conversation.request_limits import MAX_DOCUMENTS, MAX_MESSAGES, MAX_OFFERED_TOOLS, MAX_TOP_LOGPROBS
from protos import chat_pb2 as chat
from serve.doors.json_body import TEXT_OR_LIST, Body, OtherType, by_type
from serve.doors.not_offered import NotOffered
from serve.doors.openai_api.parts import CHOICES, FunctionBody, only_allowed, refuse_toolsets, to_tool
from serve.doors.openai_api.responses.file_search import FileSearch, FileSearchTool
from serve.doors.openai_api.responses.items import InputItem
from serve.doors.own_fields import Document, RetrievalBody, RoutingFields, ToolsetBody
from serve.errors import InvalidRequest

_UINT32_MAX = 2**32 - 1


class FunctionTool(FunctionBody):
    """A function the model may call."""

    type: Literal["function"]


Tool = Annotated[
    Annotated[FunctionTool, Tag("Function")]
    | Annotated[FileSearchTool, Tag("FileSearch")]
    | Annotated[ToolsetBody, Tag("Toolset")]
    | OtherType,
    by_type(function="Function", file_search="FileSearch", toolset="Toolset"),
]


class NamedFunction(Body):
    """A function's name, in a tool choice."""

    type: Literal["function"]
    name: str


class SearchChoice(Body):
    """A tool choice that wants the file search, which takes place anyhow."""

    type: Literal["file_search"]


class AllowedTools(Body):
    """A tool choice that narrows the tools down."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedFunction]


def _choice(value: object) -> str:
    kinds = {"function": "Named", "allowed_tools": "Allowed", "file_search": "Search"}
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "Word" if isinstance(value, str) else kinds.get(kind if isinstance(kind, str) else "", "Other")


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("Word")]
    | Annotated[NamedFunction, Tag("Named")]
    | Annotated[AllowedTools, Tag("Allowed")]
    | Annotated[SearchChoice, Tag("Search")]
    | OtherType,
    Discriminator(_choice),
]


class PlainFormat(Body):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaFormat(Body):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


Format = Annotated[
    Annotated[PlainFormat, Tag("Plain")] | Annotated[SchemaFormat, Tag("Schema")] | OtherType,
    by_type(text="Plain", json_object="Plain", json_schema="Schema"),
]


class TextConfig(Body):
    """What form the answer's text takes; `verbosity` is ignored."""

    format: Format | None = None


LOGPROBS: Final = "message.output_text.logprobs"
"""In `include`: each token's log probability is wanted."""


class ResponsesBody(RoutingFields):
    """POST /v1/responses."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field("auto", description="auto (or moegate) lets the router decide; an expert's name pins it")
    input: (
        Annotated[
            Annotated[str, Tag("Text")] | Annotated[list[InputItem], Tag("List"), Field(max_length=MAX_MESSAGES)],
            TEXT_OR_LIST,
        ]
        | None
    ) = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    tools: list[Tool] | None = Field(None, max_length=MAX_OFFERED_TOOLS)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=_UINT32_MAX)
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16, description="Given back, and no more")
    user: str | None = Field(None, description="Given back, and no more")
    documents: list[Document] | None = Field(
        None, max_length=MAX_DOCUMENTS, description="moegate's own: as in /v1/chat/completions"
    )
    retrieval: RetrievalBody | None = Field(None, description="moegate's own: as in /v1/chat/completions")
    include: list[str] | None = Field(
        None, description=f"{LOGPROBS}, where the expert's engine tells them; file_search_call.results; no others"
    )
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS, description="and of the likeliest in its place")
    reasoning: dict[str, Any] | None = Field(None, description="Taken and ignored: no expert reasons apart")
    max_tool_calls: int | None = Field(None, description="Taken and ignored: it bounds OpenAI's own tools")
    stream_options: dict[str, Any] | None = Field(None, description="Taken and ignored")
    service_tier: str | None = Field(None, description="Taken and ignored")
    safety_identifier: str | None = Field(None, description="Taken and ignored")
    prompt_cache_key: str | None = Field(None, description="Taken and ignored")
    prompt_cache_retention: str | None = Field(None, description="Taken and ignored")
    prompt_cache_options: dict[str, Any] | None = Field(None, description="Taken and ignored")
    background: Annotated[object, NotOffered(False)] = None
    conversation: Annotated[object, NotOffered()] = None
    prompt: Annotated[object, NotOffered()] = None
    truncation: Annotated[object, NotOffered("disabled")] = None
    context_management: Annotated[object, NotOffered([])] = None
    moderation: Annotated[object, NotOffered()] = None
    access_programs: Annotated[object, NotOffered()] = None
    image: Annotated[object, NotOffered()] = None

    def to_sampling(self) -> chat.Sampling:
        """The sampling; what is None stays unset."""
        return chat.Sampling(
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            logprobs=True if self.tells_logprobs else None,
            top_logprobs=self.top_logprobs or None,
        )

    @property
    def tells_logprobs(self) -> bool:
        """Whether each token's log probability is wanted."""
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())

    def to_response_format(self) -> chat.ResponseFormat | None:
        """The form that the answer is to have; text, which asks for nothing, is None."""
        match self.text.format if self.text else None:
            case PlainFormat(type="json_object"):
                return chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
            case SchemaFormat() as wanted:
                schema = orjson.dumps(wanted.schema_).decode()
                kind = chat.ResponseFormat.TYPE_JSON_SCHEMA
                return chat.ResponseFormat(type=kind, schema_json=schema, strict=bool(wanted.strict))
        return None

    def kept_tools(self) -> dict[int, FunctionTool]:
        """Find the functions that may be called, by their places: all, or those that the tool choice allows.

        Raises:
            InvalidRequest: it allows one that is not there.
        """
        functions = {place: tool for place, tool in enumerate(self.tools or ()) if isinstance(tool, FunctionTool)}
        if isinstance(self.tool_choice, AllowedTools):
            refuse_toolsets(self.tools or (), "tool_choice")
            names = {tool.name for tool in self.tool_choice.tools}
            functions = only_allowed(functions, names, "tool_choice.tools")
        return functions

    def to_tools(self) -> list[chat.Tool]:
        """The tools that may be called.

        Raises:
            InvalidRequest: the tool choice allows one that is not there.
        """
        return [to_tool(function) for function in self.kept_tools().values()]

    def search(self) -> FileSearch | None:
        """The file search that takes place, if one does.

        Raises:
            InvalidRequest: there are several, or `retrieval` says it, too.
        """
        found = [at for at, tool in enumerate(self.tools or ()) if isinstance(tool, FileSearchTool)]
        if not found or self.tool_choice == "none":
            return None
        where = f"tools[{found[-1]}]"
        if len(found) > 1 or self.retrieval is not None:
            what = "'retrieval'" if self.retrieval is not None else "another file_search"
            raise InvalidRequest(f"'{where}': one search an answer, and there is {what}", param=where)
        tool = self.tools[found[0]] if self.tools else None
        assert isinstance(tool, FileSearchTool)  # it was found as one
        has_results = "file_search_call.results" in (self.include or ())
        return FileSearch(where, tool.to_retrieval(), len(self.documents or ()), has_results)

    def to_tool_choice(self) -> chat.ToolChoice | None:
        """The tool choice."""
        match self.tool_choice:
            case "required" if not any(isinstance(tool, FunctionTool) for tool in self.tools or ()) and self.search():
                return None
            case str() as word:
                return chat.ToolChoice(mode=CHOICES[word])
            case AllowedTools(mode=mode):
                return chat.ToolChoice(mode=CHOICES[mode])
            case NamedFunction(name=name):
                return chat.ToolChoice(mode=chat.ToolChoice.MODE_NAMED, name=name)
        return None
