"""Anthropic's endpoints as wire forms (`serve.doors.wire_form`): Messages, and the count of a prompt's tokens."""

import re
from typing import Final

from protos import chat_pb2 as chat
from serve.doors.anthropic_api.answers import MessagePresenter
from serve.doors.anthropic_api.bodies import MessagesBody, PromptBody
from serve.doors.anthropic_api.conversation import translate
from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS
from serve.doors.count import ONE_TOKEN, CountPresenter
from serve.doors.json_body import parse
from serve.doors.own_fields import to_retrieval, toolsets_in
from serve.doors.request_builder import Headers, Parts
from serve.doors.wire_form import Asked, WireForm
from serve.errors import InvalidRequest
from serve.request import Caller, ChatRequest
from serve.steps.answer import Answer

VERSION_HEADER: Final = "anthropic-version"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_OLDEST: Final = "2023-06-01"  # the one before it had other streams


def check_version(headers: Headers) -> None:
    """Check which version of the API a client speaks, if it says so.

    Versions are dates. Those since 2023-06-01 took parameters away (2026-10-21: `temperature`, `top_p`, `top_k`) and
    left the answers' form, so all of them are one here.

    Raises:
        InvalidRequest: it is older, or no date.
    """
    version = headers(VERSION_HEADER)
    if version is not None and not (_DATE.fullmatch(version) and version >= _OLDEST):
        raise InvalidRequest(f"'{VERSION_HEADER}' must be {_OLDEST} or later", param=VERSION_HEADER)


async def _read(raw: bytes, headers: Headers, caller: Caller) -> Asked:
    check_version(headers)
    body = parse(MessagesBody, raw)
    conversation, translation = translate(body)
    sampling = chat.Sampling(
        max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p, stop=body.stop_sequences
    )
    parts = Parts(
        model=body.model,
        input=conversation,
        sampling=sampling,
        is_stream=bool(body.stream),
        quality_cost=body.quality_cost,
        ttft_target_ms=body.ttft_target_ms,
        retrieval=to_retrieval(body.retrieval),
        toolsets=toolsets_in(body.tools),
    )

    def present(request: ChatRequest, answer: Answer) -> MessagePresenter:
        return MessagePresenter(request, answer, cites=translation.cites or body.retrieval is not None)

    return Asked(parts, present, translation.names)


async def _read_to_count(raw: bytes, headers: Headers, caller: Caller) -> Asked:
    check_version(headers)
    body = parse(PromptBody, raw)
    conversation, translation = translate(body)
    parts = Parts(
        model=body.model,
        input=conversation,
        sampling=ONE_TOKEN,
        is_stream=False,
        quality_cost=body.quality_cost,
        ttft_target_ms=body.ttft_target_ms,
        retrieval=to_retrieval(body.retrieval),
        toolsets=toolsets_in(body.tools),
    )
    return Asked(parts, lambda request, answer: CountPresenter(ANTHROPIC_ERRORS), translation.names)


_ID_HEADERS: Final = (b"x-request-id", b"request-id")
MESSAGES: Final = WireForm(
    "messages",
    "Answer a conversation, in Anthropic's form",
    MessagesBody,
    "msg_",
    _read,
    ANTHROPIC_ERRORS,
    _ID_HEADERS,
)
COUNT_TOKENS: Final = WireForm(
    "messages",
    "Count a prompt's tokens, in Anthropic's form; an expert reads the prompt for it",
    PromptBody,
    "count_",
    _read_to_count,
    ANTHROPIC_ERRORS,
    _ID_HEADERS,
)
