"""The request as the core sees it: the same noun whichever door it came through.

The conversation and the sampling are the wire's own messages (`moegate.chat.v1`), so that nothing is copied
between a door and an expert. `validate` holds every rule the two doors share; a door adds only its own syntax.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from experts.bounded_json import OutOfBounds, check_bounds
from experts.json_schema import SchemaError, reduced_text
from experts.request_limits import (
    MAX_DOCUMENTS,
    MAX_MESSAGES,
    MAX_STOP_CHARS,
    MAX_STOPS,
    MAX_TOOL_CALLS,
    MAX_TOOLS,
)
from protos import chat_pb2 as chat
from serve.errors import InvalidRequest, UnsupportedParameter
from serve.fair_queue import Priority
from serve.keys import ANYONE, Caller
from serve.wishes import CallerWishes

Door = Literal["http", "grpc"]

NO_WISHES: Final = CallerWishes()

AUTO: Final = frozenset({"", "auto", "moegate"})
"""Values of `model` that leave the choice to the router."""

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,64}")
_LEFT_TO_THE_MODEL: Final = frozenset({chat.ToolChoice.MODE_UNSPECIFIED, chat.ToolChoice.MODE_AUTO})
_RANGES: Final = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request.

    Attributes:
        id: our name for it, unique; in every chunk.
        request_id: the caller's name for it, or `id`; in logs and headers.
        door: where it came in.
        model: an expert's name, or one of `AUTO`.
        input: a conversation, or raw text to continue without a template.
        sampling: what the caller set; the rest is the expert's default.
        is_stream: the caller reads tokens as they come.
        received_at: gateway's monotonic clock, seconds.
        deadline: gateway's monotonic clock, seconds.
        wishes: what the caller asks of routing.
        priority: who goes first when there is a queue.
        caller: who asks, by the API key.
        traceparent: the caller's W3C trace context, if it sent one.
    """

    id: str
    request_id: str
    door: Door
    model: str
    input: chat.Conversation | str
    sampling: chat.Sampling
    is_stream: bool
    received_at: float
    deadline: float
    wishes: CallerWishes = NO_WISHES
    priority: Priority = Priority.INTERACTIVE
    caller: Caller = ANYONE
    traceparent: str | None = None

    @property
    def has_documents(self) -> bool:
        """Whether the answer can cite."""
        return not isinstance(self.input, str) and bool(self.input.documents)

    @property
    def may_call_tools(self) -> bool:
        """Whether tools come with it and none has to be called: the model decides."""
        asked = self.input
        return not isinstance(asked, str) and bool(asked.tools) and asked.tool_choice.mode in _LEFT_TO_THE_MODEL

    @property
    def needs_structure(self) -> bool:
        """Whether the answer has a form that not every engine can keep to."""
        return self.response_format.type != chat.ResponseFormat.TYPE_TEXT

    @property
    def pinned(self) -> str | None:
        """The expert the caller named, if any."""
        return None if self.model in AUTO else self.model

    @property
    def response_format(self) -> chat.ResponseFormat:
        """The form that the answer is to have; text where none is asked for."""
        return chat.ResponseFormat() if isinstance(self.input, str) else self.input.response_format

    @property
    def reduced_schema(self) -> str:
        """The form's schema as the expert is to keep to it, serialised; empty where there is none."""
        wanted = self.response_format
        return _reduced(wanted) if wanted.type == chat.ResponseFormat.TYPE_JSON_SCHEMA else ""


def _reduced(wanted: chat.ResponseFormat) -> str:
    return reduced_text(wanted.schema_json, "strict" if wanted.strict else "loose")


PRIORITY_HEADER: Final = "x-moegate-priority"


def read_priority(header: Callable[[str], str | None]) -> Priority:
    """Read a request's class of priority out of its headers or metadata; interactive where it names none.

    Raises:
        InvalidRequest: there is no such class.
    """
    text = header(PRIORITY_HEADER)
    if text is None:
        return Priority.INTERACTIVE
    try:
        return Priority(text)
    except ValueError:
        raise InvalidRequest(f"'{PRIORITY_HEADER}' is interactive or batch", param=PRIORITY_HEADER) from None


def validate(request: ChatRequest, *, max_tokens_limit: int) -> None:
    """Check every rule that both doors share.

    Args:
        request: the request, already of the right types.
        max_tokens_limit: the largest context window it could be answered in, tokens.

    Raises:
        InvalidRequest: with `param` naming the field.
    """
    if isinstance(request.input, str):
        if not request.input:
            raise InvalidRequest("'prompt' must not be empty", param="prompt")
    else:
        _check_counts(request.input)
        _check_messages(request.input)
        _check_tools(request.input)
        _check_documents(request.input)
        _check_response_format(request.input)
    _check_sampling(request.sampling, max_tokens_limit)


def _check_counts(conversation: chat.Conversation) -> None:
    for name, most in (("messages", MAX_MESSAGES), ("tools", MAX_TOOLS), ("documents", MAX_DOCUMENTS)):
        if len(getattr(conversation, name)) > most:
            raise InvalidRequest(f"'{name}' holds more than {most} entries", param=name)


def _check_messages(conversation: chat.Conversation) -> None:
    if not conversation.messages:
        raise InvalidRequest("'messages' must hold at least one message", param="messages")
    for i, message in enumerate(conversation.messages):
        where = f"messages[{i}]"
        if message.role == chat.ROLE_UNSPECIFIED:
            raise InvalidRequest(f"'{where}.role' must be system, user, assistant or tool", param=f"{where}.role")
        if message.tool_calls and message.role != chat.ROLE_ASSISTANT:
            raise InvalidRequest(f"'{where}.tool_calls' belongs to an assistant", param=f"{where}.tool_calls")
        if message.role == chat.ROLE_TOOL and not message.tool_call_id:
            raise InvalidRequest(f"'{where}.tool_call_id' is required", param=f"{where}.tool_call_id")
        if message.tool_calls:
            _check_calls(message, f"{where}.tool_calls")
    if not any(message.content or message.tool_calls for message in conversation.messages):
        where = f"messages[{len(conversation.messages) - 1}].content"
        raise InvalidRequest(f"'{where}' must not be empty: no message says anything", param=where)


def _check_calls(message: chat.Message, where: str) -> None:
    """Check the calls that an assistant made before: what it wrote need not be JSON, but has its bounds."""
    if len(message.tool_calls) > MAX_TOOL_CALLS:
        raise InvalidRequest(f"'{where}' holds more than {MAX_TOOL_CALLS} entries", param=where)
    for i, call in enumerate(message.tool_calls):
        _check_text(call.arguments, f"{where}[{i}].function.arguments")


def _check_text(text: str, param: str) -> None:
    """Check the bounds of JSON, or what may be JSON, in a field of its own."""
    try:
        check_bounds(text)
    except OutOfBounds as error:
        raise InvalidRequest(f"'{param}' {error}", param=param) from None


def _check_tools(conversation: chat.Conversation) -> None:
    for i, tool in enumerate(conversation.tools):
        where = f"tools[{i}].function"
        if not _TOOL_NAME.fullmatch(tool.name):
            raise InvalidRequest(f"'{where}.name' must match {_TOOL_NAME.pattern}", param=f"{where}.name")
        _check_text(tool.parameters_json, f"{where}.parameters")
        if tool.parameters_json and not _is_json_object(tool.parameters_json):
            raise InvalidRequest(f"'{where}.parameters' must be a JSON object", param=f"{where}.parameters")
    choice = conversation.tool_choice
    if choice.mode in (chat.ToolChoice.MODE_REQUIRED, chat.ToolChoice.MODE_NAMED) and not conversation.tools:
        raise InvalidRequest("'tool_choice' asks for a tool and 'tools' is empty", param="tool_choice")
    if choice.mode == chat.ToolChoice.MODE_NAMED and all(tool.name != choice.name for tool in conversation.tools):
        raise InvalidRequest("'tool_choice' names a tool that is not in 'tools'", param="tool_choice")


def _check_documents(conversation: chat.Conversation) -> None:
    for i, document in enumerate(conversation.documents):
        if not document.text.strip():
            raise InvalidRequest(f"'documents[{i}].text' must not be empty", param=f"documents[{i}].text")
    if conversation.documents and all(message.role != chat.ROLE_USER for message in conversation.messages):
        raise InvalidRequest("'documents' need a user message", param="documents")


def _check_response_format(conversation: chat.Conversation) -> None:
    wanted = conversation.response_format
    if wanted.type == chat.ResponseFormat.TYPE_TEXT:
        return
    if wanted.type not in (chat.ResponseFormat.TYPE_JSON_OBJECT, chat.ResponseFormat.TYPE_JSON_SCHEMA):
        raise InvalidRequest("'response_format.type' is unknown", param="response_format.type")
    if conversation.tools and conversation.tool_choice.mode != chat.ToolChoice.MODE_NONE:
        raise UnsupportedParameter("'response_format' cannot be combined with tools", param="response_format")
    if wanted.type == chat.ResponseFormat.TYPE_JSON_SCHEMA:
        _check_text(wanted.schema_json, "response_format")
        try:
            _reduced(wanted)
        except SchemaError as error:
            raise InvalidRequest(f"'response_format': {error}", param="response_format") from None


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _check_sampling(sampling: chat.Sampling, max_tokens_limit: int) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if sampling.HasField(name) and not low <= value <= high:  # type: ignore[arg-type]  # the four names above
            raise InvalidRequest(f"'{name}' must be between {low:g} and {high:g}", param=name)
    if sampling.HasField("max_tokens") and not 1 <= sampling.max_tokens <= max_tokens_limit:
        raise InvalidRequest(f"'max_tokens' must be between 1 and {max_tokens_limit}", param="max_tokens")
    if len(sampling.stop) > MAX_STOPS:
        raise InvalidRequest(f"'stop' holds more than {MAX_STOPS} strings", param="stop")
    if any(not stop for stop in sampling.stop):
        raise InvalidRequest("'stop' must not hold an empty string", param="stop")
    if any(len(stop) > MAX_STOP_CHARS for stop in sampling.stop):
        raise InvalidRequest(f"'stop' holds a string of more than {MAX_STOP_CHARS} characters", param="stop")
