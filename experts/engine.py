"""What every engine is: the protocol, the nouns that cross it, and the ways a generation can fail.

`experts.cluster.deployment` turns a request into a `GenerationInput` and drains an engine's `generate`; the engines in
`experts.engines` make tokens. Neither side sees the other's library. All times are seconds of `time.monotonic` in the
replica.

Errors:
    EngineError
    ├── InvalidRequest             the request can never be served as it is
    │   ├── ContextLengthExceeded  its prompt does not fit the context window
    │   └── UnsupportedFormat      it asks for a form that the engine cannot keep to
    ├── QueueFull                  batch and queue are full: try again, or elsewhere
    ├── DeadlineExceeded           its deadline passed before the answer was complete
    ├── ServerUnavailable          the server behind the engine does not serve now, and may later
    └── EngineDead                 the engine has failed and its replica must be replaced
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, Protocol

from protos import chat_pb2

HEARTBEAT_S: Final = 1.0
"""While a sequence has nothing to tell, an engine that makes steps says so about as often."""


class EngineError(Exception):
    """A generation failed in a way that its client may know about; the message never holds prompt text.

    `slug` is stable: clients tell errors apart by it.
    """

    slug: ClassVar[str] = "engine_error"


class InvalidRequest(EngineError):
    """The request can never be served as it is."""

    slug: ClassVar[str] = "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    """The prompt leaves no room for an answer in the context window."""

    slug: ClassVar[str] = "context_length_exceeded"


def no_room(context_window: int, prompt_tokens: int) -> str:
    """Say that a prompt does not fit, in words out of which the gateway reads both numbers of tokens."""
    return f"the prompt leaves no room in the context window of {context_window} tokens: it has {prompt_tokens}"


class UnsupportedFormat(InvalidRequest):
    """The answer is to have a form, and the engine keeps to none."""

    slug: ClassVar[str] = "unsupported_response_format"


class QueueFull(EngineError):
    """Every slot of the batch and of the queue before it is taken."""

    slug: ClassVar[str] = "queue_full"


class DeadlineExceeded(EngineError):
    """The request's deadline passed before its answer was complete."""

    slug: ClassVar[str] = "deadline_exceeded"


class ServerUnavailable(EngineError):
    """The server behind the engine cannot be reached, or serves nobody now; a new replica would not mend that."""

    slug: ClassVar[str] = "server_unavailable"


class EngineDead(EngineError):
    """The engine failed, or was stopped, while the sequence was alive."""

    slug: ClassVar[str] = "engine_dead"


class FinishReason(StrEnum):
    """Why a generation ended well."""

    STOP = "stop"  # end-of-turn token, or a stop string
    LENGTH = "length"  # max_tokens, or the context window


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation as the chat template takes it."""

    role: str  # system | user | assistant
    content: str


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """The whole answer is JSON."""

    schema: str  # serialised, out of `experts.json_schema.reduction`: finite, and of checked keywords alone

    @property
    def form(self) -> str | None:
        """The schema of the words; None where any words will do."""
        return self.schema


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """Words or tool calls, as `experts.conversation.tool_calls` reads them; each call follows its tool's schema."""

    tools: tuple[tuple[str, str], ...]  # name and arguments' schema, as `JsonAnswer.schema` is; none = words alone
    must_call: bool  # nothing but calls, at least one
    at_most_one: bool
    form: str | None = None  # words follow this schema (as `JsonAnswer.schema`), and no call stands beside them
    is_plan: bool = False  # calls are numbered steps, which may refer to earlier ones (`json_schema.references`)


Constraint = JsonAnswer | ToolAnswer


@dataclass(frozen=True, slots=True)
class Markup:
    """What stands from `open` to `close` is no words: stop strings do not count there."""

    open: str
    close: str
    is_last: bool = False  # the first `close` ends the answer


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, every default filled in."""

    max_tokens: int  # >= 1
    temperature: float = 0.0  # 0 = greedy
    top_p: float = 1.0
    seed: int | None = None  # None: a fresh one for each request
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    min_tokens: int = 0  # the end-of-turn token does not come before
    ignore_eos: bool = False  # nor at all
    logprobs: bool = False  # each token's log probability is told
    top_logprobs: int = 0  # and those of so many tokens that were likeliest in its place
    logit_bias: tuple[tuple[int, float], ...] = ()  # tokens of the model's vocabulary, and what their logits gain
    constraint: Constraint | None = None  # only for engines whose capabilities name it
    markup: Markup | None = None  # where `stop` does not apply


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """One request: turns for the chat template, or raw text to continue."""

    prompt: tuple[Turn, ...] | str
    sampling: Sampling
    deadline_s: float | None = None  # on time.monotonic; None = none
    conversation: chat_pb2.Conversation | None = None  # what the turns say; only if `Capabilities.takes_conversations`


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer, and how likely it was before temperature, top_p and penalties."""

    token: bytes  # may be a part of a character
    logprob: float  # natural, <= 0
    top: tuple[TokenLogprob, ...] = ()  # the likeliest tokens in its place, likeliest first


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """Tokens that were ready together; `text` may be empty while a character or a stop string is incomplete.

    The first delta that says more than `HEARTBEAT` tells how long the prompt is. It may come without any token: then
    the engine has begun on the prompt, and who leaves before the first token owes it all the same.
    """

    text: str
    token_count: int
    prompt_tokens: int = 0  # only in a sequence's first delta
    logprobs: tuple[TokenLogprob, ...] = ()  # of the tokens whose text has left; only with `Sampling.logprobs`

    def __add__(self, later: TokenDelta) -> TokenDelta:
        return TokenDelta(
            self.text + later.text,
            self.token_count + later.token_count,
            self.prompt_tokens + later.prompt_tokens,
            self.logprobs + later.logprobs,
        )


HEARTBEAT: Final = TokenDelta("", 0)
"""The engine is at work, on this sequence or on those before it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How a generation ended; always the last thing an engine yields.

    `completion_tokens` counts every token the engine generated, the end-of-turn token and those of a stop string
    included; it is the sum of all `token_count`s, the tail's included.
    """

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    queue_s: float  # arrival to the first step that included the sequence
    prefill_s: float  # from then to the first token
    decode_s: float  # first token to last
    tail: TokenDelta = field(default=TokenDelta("", 0))  # tokens that came with the end
    is_estimated: bool = False  # nobody has counted tokens: their numbers were worked out from the text
    attempts: int = 1  # generations that it took (`experts.conversation.attempts`)
    handed_back: bool = False  # no tool fits, and there is no answer (`experts.conversation.hand_back`)


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an engine is, in sequences."""

    running: int
    waiting: int
    max_batch_size: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, fixed once it has started."""

    max_batch_size: int  # sequences decoded at once
    context_window: int  # tokens, prompt + answer
    sampling: frozenset[str]  # the fields of Sampling that it honours
    artifact: str = ""  # content hash of its weights; empty when it has none
    max_prompt_tokens: int | None = None  # longest prompt it takes, where that is less than the window leaves room for
    takes_conversations: bool = False  # messages, tools and calls go to it as they are: it knows its model's own form


class Engine(Protocol):
    """Makes tokens. One event loop calls it; none of its methods blocks that loop."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""

    async def start(self) -> None:
        """Load and warm up. Returns when the engine can serve at its usual speed."""

    async def stop(self) -> None:
        """Fail every live sequence with `EngineDead` and release everything."""

    def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Yield token deltas and then one `Completion`; a `HEARTBEAT` now and then while it waits or is prefilled.

        Heartbeats come of steps that were made: an engine that hangs is silent.
        Closing the generator, or cancelling its consumer, aborts the sequence and frees its slot.

        Raises:
            EngineError: see the tree above; raised from the first or any later step of the iteration.
        """

    def load(self) -> Load:
        """Say how busy the engine is now."""

    def sequences_total(self) -> int:
        """Count the sequences accepted since the start."""

    async def check_health(self) -> None:
        """Return when the engine is well.

        Raises:
            EngineDead: it is not, and will not recover.
            ServerUnavailable: it is, but the server behind it is not.
        """
