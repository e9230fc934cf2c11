"""OpenAI's request bodies: checks their types and translates them into the core's request.

Sources: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create. Unknown fields are
accepted and ignored, as OpenAI does. Known fields that moegate does not offer are refused by name.
`serve.validation.rules` checks ranges and everything else that both doors share.
"""

from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from experts.conversation.request_limits import MAX_DOCUMENTS, MAX_MESSAGES, MAX_OFFERED_TOOLS, MAX_TOP_LOGPROBS
from protos import chat_pb2 as chat
from serve.doors.field_names import SAME_NAMES, FieldNames
from serve.doors.json_body import Body
from serve.doors.not_offered import UNSUPPORTED, NotOffered
from serve.doors.openai_api.parts import (
    MessageBody,
    ResponseFormat,
    Tool,
    ToolChoice,
    kept_tools,
    to_message,
    to_response_format,
    to_tool_choice,
    to_tools,
)
from serve.doors.own_fields import (
    Document,
    RetrievalBody,
    RoutingFields,
    to_documents,
    to_retrieval,
    tool_places,
    toolsets_in,
)
from serve.errors import UnsupportedParameter
from serve.request import NamedToolset, Retrieval

_UINT32_MAX = 2**32 - 1
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1


def _as_list(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _prompts(value: object) -> object:
    """Read one text, or a list of them, each of which has an answer; token ids would need a tokeniser."""
    if isinstance(value, list) and any(not isinstance(prompt, str) for prompt in value):
        raise PydanticCustomError(UNSUPPORTED, "prompts are text; token ids are not supported")
    return [value] if isinstance(value, str) else value


MAX_CHOICES: Final = 16
"""Answers to one request, at most."""
_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_CHOICES}
Prompts = Annotated[
    list[str],
    BeforeValidator(_prompts),
    Field(min_length=1, max_length=MAX_CHOICES),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS]}),
]
Stop = Annotated[
    list[str],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 4}]}),
]


TokenNumber = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]

OtherServers = Annotated[object, NotOffered()]
"""A form of the answer as vLLM, SGLang or llama.cpp take it: in silence the answer would have none."""


class StreamOptions(Body):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None


class _SamplingBody(RoutingFields):
    """What the chat and the completions endpoint share."""

    _names: ClassVar[FieldNames] = SAME_NAMES

    model: str | None = Field("auto", description="auto (or moegate) lets the router decide; an expert's name pins it")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=_UINT32_MAX)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = Field(None, ge=_INT64_MIN, le=_UINT64_MAX)
    stop: Stop = Field(default_factory=list)  # pydantic would copy a default deeply for each request
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    min_tokens: int | None = Field(None, ge=0, le=_UINT32_MAX, description="the answer does not end before, as in vLLM")
    ignore_eos: bool | None = Field(None, description="the answer has `max_tokens` tokens, as in vLLM")
    store: bool | None = Field(None, description="false: the request and its answer are kept nowhere")
    user: str | None = Field(None, description="whom the caller asks for; kept as a hash alone")
    safety_identifier: str | None = Field(None, description="another name for `user`")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="answers, each of them metered as a request")
    logit_bias: dict[TokenNumber, float] | None = Field(
        None, description="by a token's number in the named expert's vocabulary, -100..100; where its engine takes it"
    )

    guided_json: OtherServers = None
    guided_regex: OtherServers = None
    guided_choice: OtherServers = None
    guided_grammar: OtherServers = None
    structured_outputs: OtherServers = None
    regex: OtherServers = None
    ebnf: OtherServers = None
    grammar: OtherServers = None
    json_schema: OtherServers = None

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
            min_tokens=self.min_tokens,
            ignore_eos=self.ignore_eos,
            logit_bias={int(token): bias for token, bias in self.logit_bias.items()} if self.logit_bias else None,
        )

    @property
    def names(self) -> FieldNames:
        """What the client calls the fields."""
        return self._names

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatCompletionBody(_SamplingBody):
    """POST /v1/chat/completions."""

    messages: list[MessageBody] = Field(max_length=MAX_MESSAGES)
    tools: list[Tool] | None = Field(None, max_length=MAX_OFFERED_TOOLS)
    tool_choice: ToolChoice | None = None
    documents: list[Document] | None = Field(None, max_length=MAX_DOCUMENTS)
    retrieval: RetrievalBody | None = None
    parallel_tool_calls: bool | None = None
    plan: bool | None = Field(
        None, description="moegate's own: calls are steps of a plan, whose arguments may refer to earlier results"
    )
    max_completion_tokens: int | None = Field(None, ge=1, le=_UINT32_MAX)
    logprobs: bool | None = Field(None, description="each token's log probability; where the expert's engine tells it")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS, description="and of the likeliest in its place")
    functions: Annotated[object, NotOffered([])] = None
    function_call: Annotated[object, NotOffered("none", "auto")] = None
    modalities: Annotated[object, NotOffered(["text"])] = None
    audio: Annotated[object, NotOffered()] = None
    prediction: Annotated[object, NotOffered()] = None
    web_search_options: Annotated[object, NotOffered()] = None
    moderation: Annotated[object, NotOffered()] = None
    response_format: ResponseFormat | None = None

    @property
    def names(self) -> FieldNames:
        """What the client calls the fields: tools keep their places where some are left out."""
        kept = kept_tools(self.tools or (), self.tool_choice)
        places = tool_places(self.tools or (), list(kept))
        return FieldNames(places) if places else self._names

    def refuse_unsupported(self) -> None:
        """Nothing: each field that is not offered refuses itself."""

    def to_sampling(self) -> chat.Sampling:
        """The sampling; `max_completion_tokens` is the newer name of `max_tokens` and wins."""
        sampling = self.sampling(self.max_completion_tokens or self.max_tokens)
        if self.logprobs:
            sampling.logprobs = True
        if self.top_logprobs:
            sampling.top_logprobs = self.top_logprobs
        return sampling

    def to_retrieval(self) -> Retrieval | None:
        """The collections that are to be searched."""
        return to_retrieval(self.retrieval)

    def to_toolsets(self) -> tuple[NamedToolset, ...]:
        """The sets of tools that are offered."""
        return toolsets_in(self.tools)

    def to_inputs(self) -> list[chat.Conversation]:
        """The conversation as the core's message."""
        return [self.to_input()]

    def to_input(self) -> chat.Conversation:
        """The conversation as the core's message."""
        return chat.Conversation(
            messages=[to_message(message, f"messages[{i}]") for i, message in enumerate(self.messages)],
            tools=to_tools(self.tools or (), self.tool_choice),
            tool_choice=to_tool_choice(self.tool_choice),
            documents=to_documents(self.documents),
            parallel_tool_calls=self.parallel_tool_calls,
            plan=self.plan,
            response_format=to_response_format(self.response_format),
        )


class CompletionBody(_SamplingBody):
    """POST /v1/completions: raw text to continue, no chat template."""

    _names = FieldNames(words={"top_logprobs": "logprobs"})

    prompt: Prompts
    retrieval: Annotated[object, NotOffered()] = None
    tools: Annotated[object, NotOffered([])] = None
    plan: Annotated[object, NotOffered(False)] = None
    logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_TOP_LOGPROBS,
        description="each token's log probability and, above 0, those of so many of the likeliest in its place",
    )
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    def refuse_unsupported(self) -> None:
        """Refuse what moegate understands and does not offer.

        Raises:
            UnsupportedParameter: with `param` naming it.
        """
        for name in ("echo", "suffix"):
            if getattr(self, name):
                raise UnsupportedParameter(f"'{name}' is not supported", param=name)
        if self.best_of not in (None, 1):
            raise UnsupportedParameter("'best_of' other than 1 is not supported", param="best_of")

    def to_sampling(self) -> chat.Sampling:
        """The sampling; `logprobs: 0` asks for the chosen token's own."""
        sampling = self.sampling(self.max_tokens)
        if self.logprobs is not None:
            sampling.logprobs = True
        if self.logprobs:
            sampling.top_logprobs = self.logprobs
        return sampling

    def to_retrieval(self) -> Retrieval | None:
        """Nothing: raw text is continued as it is."""
        return None

    def to_toolsets(self) -> tuple[NamedToolset, ...]:
        """None: raw text calls nothing."""
        return ()

    def to_inputs(self) -> list[str]:
        """The prompts."""
        return self.prompt
