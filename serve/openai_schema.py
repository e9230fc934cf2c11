"""OpenAI's request bodies: their types (checked here), their translation into the core's request.

Sources: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create. Unknown fields are
accepted and ignored, as OpenAI does; known ones that moegate does not offer are refused by name. Ranges and
everything else both doors share is `serve.request.validate`'s.
"""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from protos import chat_pb2 as chat
from serve.errors import InvalidRequest, MalformedBody, UnsupportedParameter

_ROLES = {
    "system": chat.ROLE_SYSTEM,
    "developer": chat.ROLE_SYSTEM,
    "user": chat.ROLE_USER,
    "assistant": chat.ROLE_ASSISTANT,
    "tool": chat.ROLE_TOOL,
}
_CHOICES = {
    "none": chat.ToolChoice.MODE_NONE,
    "auto": chat.ToolChoice.MODE_AUTO,
    "required": chat.ToolChoice.MODE_REQUIRED,
}
_UINT32_MAX = 2**32 - 1
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1


def _content_text(value: object) -> object:
    """Flatten a list of text parts; anything that is not text is refused by name."""
    if value is None:
        return ""
    if not isinstance(value, list):
        return value
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise PydanticCustomError("unsupported_content", "only text parts are supported")
        texts.append(part["text"])
    return "\n".join(texts)


def _as_document(value: object) -> object:
    """A plain string is a document's text; `content` is another name for `text`."""
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict) and "text" not in value and "content" in value:
        return {**value, "text": value["content"]}
    return value


def _as_list(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


_PARTS_SCHEMA = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
Content = Annotated[
    str,
    BeforeValidator(_content_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PARTS_SCHEMA}, {"type": "null"}]}),
]
Stop = Annotated[
    list[str],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 4}]}),
]


class _Body(BaseModel):
    # strict: "0.5" is no number; ignore: fields of tomorrow's SDKs must not break today's gateway
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class FunctionCallBody(_Body):
    """The function part of an assistant's tool call."""

    name: str
    arguments: str


class ToolCallBody(_Body):
    """An assistant's tool call, as a client sends it back."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallBody


class MessageBody(_Body):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = ""
    name: str | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None


class FunctionBody(_Body):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolBody(_Body):
    """A tool the model may call."""

    type: Literal["function"]
    function: FunctionBody


class NamedFunction(_Body):
    """The function part of a named tool choice."""

    name: str


class NamedToolChoice(_Body):
    """A tool choice that names one function."""

    type: Literal["function"]
    function: NamedFunction


class DocumentBody(_Body):
    """What the answer should rest on; moegate numbers documents and the answer cites them as [n]."""

    text: str = Field(description="`content` is another name for it")
    title: str | None = None
    url: str | None = None


_DOCUMENT_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("title", "text", "content", "url")},
    "anyOf": [{"required": ["text"]}, {"required": ["content"]}],
}
Document = Annotated[
    DocumentBody,
    BeforeValidator(_as_document),
    WithJsonSchema({"anyOf": [{"type": "string"}, _DOCUMENT_SCHEMA]}),
]


class StreamOptions(_Body):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None


class JsonSchemaBody(_Body):
    """The schema of a response format."""

    name: str | None = None
    schema_: dict[str, Any] = Field({}, alias="schema")
    strict: bool | None = None


class ResponseFormat(_Body):
    """What form the answer takes."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaBody | None = None


class _SamplingBody(_Body):
    """What the chat and the completions endpoint share."""

    model: str = Field("auto", description="auto (or moegate) lets the router decide; an expert's name pins it")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=_UINT32_MAX)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = Field(None, ge=_INT64_MIN, le=_UINT64_MAX)
    stop: Stop = []
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    quality_cost: float | None = Field(
        None, description="moegate's knob, 0..1: 0 is quality alone, towards 1 quality is given up for price"
    )
    ttft_target_ms: float | None = Field(
        None, description="milliseconds from receipt to first token that the caller would like"
    )

    def refuse_unsupported(self) -> None:
        """Refuse what moegate understands and does not offer.

        Raises:
            UnsupportedParameter: with `param` naming it.
        """
        if self.n not in (None, 1):
            raise UnsupportedParameter("'n' other than 1 is not supported", param="n")

    def sampling(self, max_tokens: int | None) -> chat.Sampling:
        """The sampling as the core's message; what is None stays unset."""
        return chat.Sampling(
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=None if self.seed is None else self.seed % 2**64,
            stop=self.stop,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
        )

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatCompletionBody(_SamplingBody):
    """POST /v1/chat/completions."""

    messages: list[MessageBody]
    tools: list[ToolBody] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    documents: list[Document] | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = Field(None, ge=1, le=_UINT32_MAX)
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None

    def refuse_unsupported(self) -> None:
        """Refuse what moegate understands and does not offer."""
        super().refuse_unsupported()
        if self.logprobs:
            raise UnsupportedParameter("'logprobs' is not supported", param="logprobs")

    def to_sampling(self) -> chat.Sampling:
        """The sampling; `max_completion_tokens` is the newer name of `max_tokens` and wins."""
        return self.sampling(self.max_completion_tokens or self.max_tokens)

    def to_input(self) -> chat.Conversation:
        """The conversation as the core's message."""
        return chat.Conversation(
            messages=[_message(message) for message in self.messages],
            tools=[_tool(tool.function) for tool in self.tools or ()],
            tool_choice=_tool_choice(self.tool_choice),
            documents=[chat.Document(title=d.title or "", text=d.text, url=d.url or "") for d in self.documents or ()],
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=_response_format(self.response_format),
        )


class CompletionBody(_SamplingBody):
    """POST /v1/completions: raw text to continue, no chat template."""

    prompt: str
    logprobs: int | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    def refuse_unsupported(self) -> None:
        """Refuse what moegate understands and does not offer."""
        super().refuse_unsupported()
        for name in ("logprobs", "echo", "suffix"):
            if getattr(self, name):
                raise UnsupportedParameter(f"'{name}' is not supported", param=name)
        if self.best_of not in (None, 1):
            raise UnsupportedParameter("'best_of' other than 1 is not supported", param="best_of")

    def to_sampling(self) -> chat.Sampling:
        """The sampling."""
        return self.sampling(self.max_tokens)

    def to_input(self) -> str:
        """The prompt."""
        return self.prompt


B = TypeVar("B", bound=BaseModel)


def parse(kind: type[B], raw: bytes) -> B:
    """Read a body.

    Raises:
        MalformedBody: it is not a JSON object.
        InvalidRequest: a field is missing or of the wrong type; `param` names it.
    """
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedBody("the body is not valid JSON") from None
    if not isinstance(content, dict):
        raise MalformedBody("the body must be a JSON object")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidRequest:
    """Name the first field at fault as the client wrote it. The value itself is never repeated."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ""
    for part in first["loc"]:
        if isinstance(part, int):
            param += f"[{part}]"
        elif part.isidentifier() and not part[0].isupper():  # pydantic puts the names of union members in, too
            param += f".{part}" if param else part
    return InvalidRequest(f"'{param}': {first['msg']}", param=param or None)


def _message(body: MessageBody) -> chat.Message:
    calls = [
        chat.ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in body.tool_calls or ()
    ]
    return chat.Message(
        role=_ROLES[body.role],
        content=body.content,
        name=body.name or "",
        tool_calls=calls,
        tool_call_id=body.tool_call_id or "",
    )


def _tool(function: FunctionBody) -> chat.Tool:
    try:
        schema = "" if function.parameters is None else orjson.dumps(function.parameters).decode()
    except orjson.JSONEncodeError:  # nested deeper than orjson writes, though not deeper than it reads
        raise InvalidRequest("'tools': a parameter schema is nested too deeply", param="tools") from None
    return chat.Tool(name=function.name, description=function.description or "", parameters_json=schema)


def _response_format(body: ResponseFormat | None) -> chat.ResponseFormat | None:
    if body is None or body.type == "text":
        return None
    if body.type == "json_object":
        return chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
    if body.json_schema is None:
        raise InvalidRequest("'response_format.json_schema' is required", param="response_format.json_schema")
    try:
        schema = orjson.dumps(body.json_schema.schema_).decode()
    except orjson.JSONEncodeError:
        raise InvalidRequest("'response_format': the schema is nested too deeply", param="response_format") from None
    return chat.ResponseFormat(
        type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema, strict=bool(body.json_schema.strict)
    )


def _tool_choice(choice: str | NamedToolChoice | None) -> chat.ToolChoice:
    if choice is None:
        return chat.ToolChoice()
    if isinstance(choice, str):
        return chat.ToolChoice(mode=_CHOICES[choice])
    return chat.ToolChoice(mode=chat.ToolChoice.MODE_NAMED, name=choice.function.name)
