"""OpenAI's chat and completions endpoints as wire forms (`serve.doors.wire_form`)."""

from dataclasses import replace
from functools import partial
from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.json_body import parse
from serve.doors.openai_api.answers import ChatDialect, CompletionDialect, Dialect, Envelope, Frames, frames_of
from serve.doors.openai_api.bodies import MAX_CHOICES, ChatCompletionBody, CompletionBody
from serve.doors.openai_api.choices import OpenAIChoices
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.request_builder import Headers, Parts
from serve.doors.wire_form import Asked, Choices, WireForm
from serve.errors import ContentBlocked, InvalidRequest, MoegateError
from serve.request import Caller, ChatRequest
from serve.steps.answer import Answer, End


class CompletionsPresenter:
    """Presents an answer of either endpoint."""

    def __init__(self, envelope: Envelope, *, include_usage: bool, tells_logprobs: bool = False) -> None:
        self._envelope = envelope
        self._make = partial(frames_of, include_usage=include_usage, tells_logprobs=tells_logprobs)
        self._frames: Frames | None = None

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The frames of a message; before the first one, the role."""
        if self._frames is None:
            frames, opening = self._open("" if chunk.text else None)
            return opening + frames.piece(chunk)
        return self._frames.piece(chunk)

    async def closing(self, end: End) -> bytes:
        """The last frames."""
        frames, opening = self._open("") if self._frames is None else (self._frames, b"")
        return opening + frames.closing(end.completion, end.cost_usd)

    def failed(self, error: MoegateError) -> bytes:
        """The error's frame; what the guard blocks ends as OpenAI ends it, with a finish reason of its own."""
        if not isinstance(error, ContentBlocked):
            return OPENAI_ERRORS.event(error)
        frames, opening = self._open("") if self._frames is None else (self._frames, b"")
        return opening + frames.blocked()

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The whole answer."""
        return self._envelope.whole(answer, end.completion, end.cost_usd)

    def _open(self, content: str | None) -> tuple[Frames, bytes]:
        self._frames = self._make(self._envelope)
        return self._frames, self._frames.opening(content)


async def _read(
    kind: type[ChatCompletionBody] | type[CompletionBody],
    dialect: Dialect,
    raw: bytes,
    headers: Headers,
    caller: Caller,
) -> Asked:
    """Read the body of either endpoint."""
    body = parse(kind, raw)
    body.refuse_unsupported()
    inputs = body.to_inputs()
    parts = Parts(
        model=body.model or "",
        input=inputs[0],
        sampling=body.to_sampling(),
        is_stream=bool(body.stream),
        quality_cost=body.quality_cost,
        ttft_target_ms=body.ttft_target_ms,
        store=body.store,
        user=body.safety_identifier or body.user,
        retrieval=body.to_retrieval(),
        toolsets=body.to_toolsets(),
    )

    def present(request: ChatRequest, answer: Answer) -> CompletionsPresenter:
        envelope = Envelope.begin(request.id, answer.decision.expert, dialect)
        return CompletionsPresenter(envelope, include_usage=body.include_usage, tells_logprobs=parts.sampling.logprobs)

    count = len(inputs) * (body.n or 1)
    if count == 1:
        return Asked(parts, present, body.names)
    if count > MAX_CHOICES:
        raise InvalidRequest(f"a request has at most {MAX_CHOICES} answers, 'n' to each prompt", param="n")

    def present_all(request: ChatRequest, answer: Answer) -> OpenAIChoices:
        envelope = Envelope.begin(request.id, answer.decision.expert, dialect)
        make = partial(frames_of, include_usage=body.include_usage, tells_logprobs=parts.sampling.logprobs)
        return OpenAIChoices(envelope, [make(envelope, index=index) for index in range(count)])

    _, *further = (_nth(parts, text, n) for text in inputs for n in range(body.n or 1))
    return Asked(parts, present, body.names, Choices(further, present_all))


def _nth(parts: Parts, text: chat.Conversation | str, n: int) -> Parts:
    """Make the parts of a further answer; a seed is another one for each, or all would be the same."""
    sampling = chat.Sampling()
    sampling.CopyFrom(parts.sampling)
    if sampling.HasField("seed"):
        sampling.seed = (sampling.seed + n) % 2**64
    return replace(parts, input=text, sampling=sampling)


def _form(summary: str, kind: type[ChatCompletionBody] | type[CompletionBody], dialect: Dialect) -> WireForm:
    return WireForm("http", summary, kind, dialect.id_prefix, partial(_read, kind, dialect), OPENAI_ERRORS)


CHAT: Final = _form("Answer a conversation", ChatCompletionBody, ChatDialect())
COMPLETIONS: Final = _form("Continue a text", CompletionBody, CompletionDialect())
