"""From a `GenerationInput` to the body of a request.

What the server cannot do is not sent (`UpstreamOptions`); what the client did not ask for is left out, so that the
server's own defaults hold.
"""

from __future__ import annotations

import math
from typing import Any, Final

from experts.conversation.bounded_json import OutOfBounds, read_bounded
from experts.conversation.prompts import callable_tools
from experts.engine import GenerationInput, InvalidRequest, Sampling
from experts.engines.upstream.options import UpstreamOptions
from protos import chat_pb2

BYTES_PER_TOKEN: Final = 4  # of UTF-8, in English prose: what is taken where nobody counts

_ROLES: Final = {
    chat_pb2.ROLE_SYSTEM: "system",
    chat_pb2.ROLE_USER: "user",
    chat_pb2.ROLE_ASSISTANT: "assistant",
    chat_pb2.ROLE_TOOL: "tool",
}
_Mode = chat_pb2.ToolChoice.Mode


def estimate_tokens(text: str) -> int:
    """Say how many tokens a text is likely to be; 0 for none."""
    return math.ceil(len(text.encode("utf-8", "surrogateescape")) / BYTES_PER_TOKEN)


def estimate_prompt(request: GenerationInput) -> int:
    """Say how many tokens a prompt is likely to be, tools and mark-up included; at least 1."""
    if isinstance(request.prompt, str):
        return max(1, estimate_tokens(request.prompt))
    return max(1, sum(estimate_tokens(turn.content) + 4 for turn in request.prompt))


def call_body(options: UpstreamOptions, request: GenerationInput, context_window: int) -> dict[str, Any]:
    """Write the body for `/chat/completions`, or for `/completions` where the prompt is raw text.

    Raises:
        InvalidRequest: raw text for a server that takes none, or a tool's parameters are not JSON.
    """
    body: dict[str, Any] = {"model": options.model, "stream": True}
    if options.usage:
        body["stream_options"] = {"include_usage": True}
    is_raw = isinstance(request.prompt, str)
    # A server refuses more than its window holds, where an engine of ours would stop there.
    room = context_window - estimate_prompt(request)
    limit = min(request.sampling.max_tokens, room) if room > 0 else request.sampling.max_tokens
    body |= {"max_tokens" if is_raw else options.max_tokens_field: limit} | _sampling(options, request.sampling)
    if is_raw:
        if not options.raw_prompts:
            raise InvalidRequest("this expert's server takes conversations alone, no raw prompt")
        if request.sampling.logprobs:
            body["logprobs"] = request.sampling.top_logprobs
        return body | {"prompt": request.prompt}
    if request.sampling.logprobs:
        body |= {"logprobs": True, "top_logprobs": request.sampling.top_logprobs}
    form = request.sampling.constraint.form if request.sampling.constraint is not None else None
    if form is not None:
        body["response_format"] = _response_format(request, form)
    if request.conversation is None:
        turns = () if isinstance(request.prompt, str) else request.prompt
        return body | {"messages": [{"role": turn.role, "content": turn.content} for turn in turns]}
    return body | {"messages": [*map(_message, request.conversation.messages)]} | _tools(request.conversation)


def _sampling(options: UpstreamOptions, sampling: Sampling) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature:
        chosen |= {"temperature": round(sampling.temperature, 6), "top_p": round(sampling.top_p, 6)}
    if sampling.seed is not None:
        chosen["seed"] = sampling.seed
    if sampling.stop:
        chosen["stop"] = list(sampling.stop)
    for name in ("frequency_penalty", "presence_penalty"):
        if value := getattr(sampling, name):
            chosen[name] = round(value, 6)
    if sampling.logit_bias:
        chosen["logit_bias"] = {str(token): round(value, 6) for token, value in sampling.logit_bias}
    return chosen


def _response_format(request: GenerationInput, form: str) -> dict[str, Any]:
    """Ask for the form, by the reduced schema: without references, of known keywords alone."""
    asked = request.conversation.response_format if request.conversation is not None else None
    if asked is not None and asked.type == chat_pb2.ResponseFormat.TYPE_JSON_OBJECT:
        return {"type": "json_object"}
    schema = {"name": "answer", "schema": read_bounded(form)}
    if asked is not None and asked.strict:
        schema["strict"] = True
    return {"type": "json_schema", "json_schema": schema}


def _message(message: chat_pb2.Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": _ROLES[message.role], "content": message.content}
    if message.role == chat_pb2.ROLE_TOOL:
        written["tool_call_id"] = message.tool_call_id
    elif message.role == chat_pb2.ROLE_USER and message.name:
        written["name"] = message.name
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in message.tool_calls
        ]
    return written


def _tools(conversation: chat_pb2.Conversation) -> dict[str, Any]:
    tools, choice = callable_tools(conversation), conversation.tool_choice
    if not tools:
        return {}
    offered: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    if choice.mode == _Mode.MODE_REQUIRED:
        offered["tool_choice"] = "required"
    elif choice.mode == _Mode.MODE_NAMED:
        offered["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode == _Mode.MODE_AUTO:
        offered["tool_choice"] = "auto"
    if conversation.HasField("parallel_tool_calls"):
        offered["parallel_tool_calls"] = conversation.parallel_tool_calls
    return offered


def _tool(tool: chat_pb2.Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    try:
        function["parameters"] = read_bounded(tool.parameters_json or '{"type": "object", "properties": {}}')
    except (OutOfBounds, ValueError):
        raise InvalidRequest("the parameters of a tool are not JSON") from None
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}
