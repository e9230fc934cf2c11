"""The rules that every request must keep, whichever door it came through.

A door has checked the types before. `serve.gateway` asks here before it admits a request.
"""

import re
from typing import Final

import orjson

from experts.conversation.bounded_json import OutOfBounds, check_bounds
from experts.conversation.request_limits import (
    MAX_BIAS,
    MAX_BIASED_TOKENS,
    MAX_DOCUMENTS,
    MAX_MESSAGES,
    MAX_STOP_CHARS,
    MAX_STOPS,
    MAX_TOOL_CALLS,
    MAX_TOOLS,
    MAX_TOOLSETS,
    MAX_TOP_LOGPROBS,
)
from experts.json_schema.arguments import MAX_STRICT_WORK, strict_arguments
from experts.json_schema.reduction import SchemaError
from protos import chat_pb2 as chat
from serve.errors import InvalidRequest
from serve.request import ChatRequest, reduced_form

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,64}")
# An enum of proto3 is open: a message may hold any number there.
_ROLES: Final = frozenset(chat.Role.values()) - {chat.ROLE_UNSPECIFIED}
_CHOICES: Final = frozenset(chat.ToolChoice.Mode.values())
_RANGES: Final = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}


def validate(request: ChatRequest, *, max_tokens_limit: int, max_tools: int = MAX_TOOLS) -> None:
    """Check every rule that both doors share.

    Args:
        request: the request, already of the right types.
        max_tokens_limit: the largest context window it could be answered in, tokens.
        max_tools: the most tools it may offer.

    Raises:
        InvalidRequest: with `param` naming the field.
    """
    if request.toolsets:
        _check_toolsets(request)
    if isinstance(request.input, str):
        if not request.input:
            raise InvalidRequest("'prompt' must not be empty", param="prompt")
    else:
        _check_counts(request.input, max_tools)
        _check_messages(request.input)
        _check_tools(request.input)
        if not request.toolsets:
            _check_tool_choice(request.input)
        _check_documents(request.input)
        _check_response_format(request.input)
    _check_sampling(request.sampling, max_tokens_limit)


def _check_counts(conversation: chat.Conversation, max_tools: int) -> None:
    for name, most in (("messages", MAX_MESSAGES), ("tools", max_tools), ("documents", MAX_DOCUMENTS)):
        if len(getattr(conversation, name)) > most:
            raise InvalidRequest(f"'{name}' holds more than {most} entries", param=name)


def _check_messages(conversation: chat.Conversation) -> None:
    if not conversation.messages:
        raise InvalidRequest("'messages' must hold at least one message", param="messages")
    for i, message in enumerate(conversation.messages):
        where = f"messages[{i}]"
        if message.role not in _ROLES:
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
    names: set[str] = set()
    work = 0  # of reading strict schemas
    for i, tool in enumerate(conversation.tools):
        where = f"tools[{i}].function"
        if tool.name in names:
            raise InvalidRequest(f"'{where}.name' is the name of an earlier tool", param=f"{where}.name")
        names.add(tool.name)
        if not _TOOL_NAME.fullmatch(tool.name):
            raise InvalidRequest(f"'{where}.name' must match {_TOOL_NAME.pattern}", param=f"{where}.name")
        _check_text(tool.parameters_json, f"{where}.parameters")
        if tool.parameters_json and not _is_json_object(tool.parameters_json):
            raise InvalidRequest(f"'{where}.parameters' must be a JSON object", param=f"{where}.parameters")
        if tool.strict:
            work += _check_strict(tool.parameters_json, f"{where}.parameters")
        if work > MAX_STRICT_WORK:
            raise InvalidRequest("'tools': the schemas of the strict tools are too large together", param="tools")


def _check_strict(parameters: str, where: str) -> int:
    """Check that calls of a strict tool can be held to its schema; return what that took."""
    try:
        return strict_arguments(parameters).work
    except SchemaError as error:
        raise InvalidRequest(f"'{where}': {error}", param=where) from None


def _check_toolsets(request: ChatRequest) -> None:
    """Check the sets of tools that are named; what they hold is not known yet."""
    if isinstance(request.input, str):
        where = request.toolsets[0].where
        raise InvalidRequest(f"'{where}': a raw prompt calls no tools", param=where)
    names: set[str] = set()
    for place, named in enumerate(request.toolsets):
        if place == MAX_TOOLSETS:
            raise InvalidRequest(f"'{named.where}': at most {MAX_TOOLSETS} toolsets", param=named.where)
        if named.name in names:
            raise InvalidRequest(f"'{named.where}' names an earlier toolset", param=named.where)
        names.add(named.name)


def check_with_toolsets(conversation: chat.Conversation, max_tools: int) -> None:
    """Check what could not be checked while sets of tools were only named; their own tools keep the rules.

    Raises:
        InvalidRequest: with `param` naming the field.
    """
    if len(conversation.tools) > max_tools:
        message = f"'tools' holds more than {max_tools} entries, those of its toolsets counted"
        raise InvalidRequest(message, param="tools")
    _check_tool_choice(conversation)


def _check_tool_choice(conversation: chat.Conversation) -> None:
    if conversation.plan and not conversation.tools:
        raise InvalidRequest("'plan' needs tools", param="plan")
    choice = conversation.tool_choice
    if choice.mode not in _CHOICES:
        raise InvalidRequest("'tool_choice.mode' is unknown", param="tool_choice.mode")
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
    if wanted.type == chat.ResponseFormat.TYPE_JSON_SCHEMA:
        _check_text(wanted.schema_json, "response_format")
        try:
            reduced_form(wanted)
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
    if sampling.HasField("max_tokens") and sampling.min_tokens > sampling.max_tokens:
        raise InvalidRequest("'min_tokens' must not be above 'max_tokens'", param="min_tokens")
    if sampling.stop:
        _check_stops(sampling)
    if sampling.top_logprobs or sampling.logit_bias:
        _check_logits(sampling)


def _check_stops(sampling: chat.Sampling) -> None:
    if len(sampling.stop) > MAX_STOPS:
        raise InvalidRequest(f"'stop' holds more than {MAX_STOPS} strings", param="stop")
    if any(not stop for stop in sampling.stop):
        raise InvalidRequest("'stop' must not hold an empty string", param="stop")
    if any(len(stop) > MAX_STOP_CHARS for stop in sampling.stop):
        raise InvalidRequest(f"'stop' holds a string of more than {MAX_STOP_CHARS} characters", param="stop")


def _check_logits(sampling: chat.Sampling) -> None:
    if sampling.top_logprobs > MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"'top_logprobs' is at most {MAX_TOP_LOGPROBS}", param="top_logprobs")
    if sampling.top_logprobs and not sampling.logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs'", param="top_logprobs")
    if len(sampling.logit_bias) > MAX_BIASED_TOKENS:
        raise InvalidRequest(f"'logit_bias' names more than {MAX_BIASED_TOKENS} tokens", param="logit_bias")
    if not all(abs(bias) <= MAX_BIAS for bias in sampling.logit_bias.values()):
        raise InvalidRequest(f"'logit_bias' must be between {-MAX_BIAS:g} and {MAX_BIAS:g}", param="logit_bias")
