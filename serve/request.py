"""The request as the core sees it: the same noun whichever door it came through.

The conversation and the sampling are the wire's own messages (`moegate.chat.v1`), so nothing is copied between a door
and an expert. `serve.validation.rules` holds every rule that both doors share; a door adds only its own syntax.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from experts.json_schema.schema_text import reduced_text
from protos import chat_pb2 as chat
from router.features.featurize import Features
from serve.costs.tariffs import PICO
from serve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class CallerPreferences:
    """What the caller said; None where nothing, and the settings' default holds.

    Attributes:
        quality_cost: 0 = quality alone, 1 = the cheapest that is not ruled out.
        ttft_target_ms: milliseconds from receipt to first token.
        previous_expert: who answered the conversation's last turn.
    """

    quality_cost: float | None = None
    ttft_target_ms: float | None = None
    previous_expert: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A key's limits; None = none.

    Attributes:
        rpm: requests a minute.
        tpm: tokens a minute, of prompts and answers together.
        usd: USD a period.
        usd_period_s: the period's length, seconds.
        hold_s: no request runs longer; what one has held for so long is nobody's, seconds.
    """

    rpm: int | None
    tpm: int | None
    usd: float | None
    usd_period_s: int = 86400
    hold_s: float = 600.0

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to count."""
        return self.rpm is None and self.tpm is None and self.usd is None

    @property
    def pico(self) -> int | None:
        """The budget in picodollars."""
        return None if self.usd is None else round(self.usd * PICO)


UNLIMITED: Final = Limit(None, None, None)


class Priority(StrEnum):
    """How urgent a request is; `x-moegate-priority` names one."""

    INTERACTIVE = "interactive"  # somebody waits for it
    BATCH = "batch"  # nobody does: the first to wait, and to be refused


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: the key's name, the tenant in logs and in the queue; empty where no keys are configured.
        limit: what the key may use.
        is_operator: whether the key may see what others use.
        collections: that the caller may search; None = every one.
        toolsets: sets of tools that the caller may name; None = every one.
    """

    name: str
    limit: Limit
    is_operator: bool = False
    collections: frozenset[str] | None = None
    toolsets: frozenset[str] | None = None

    def may_offer(self, toolset: str) -> bool:
        """Whether a set of tools is there for the caller."""
        return self.toolsets is None or toolset in self.toolsets

    def may_search(self, collection: str) -> bool:
        """Whether a collection is there for the caller."""
        return self.collections is None or collection in self.collections


ANYONE: Final = Caller("", UNLIMITED)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the caller says about keeping the request and its answer (`serve.interactions`).

    Attributes:
        is_allowed: they may be kept, where the operator keeps any.
        workload: which task of the caller's application asks; empty where it does not say.
        user: the caller's own name for whom it asks; empty where it does not say.
    """

    is_allowed: bool = True
    workload: str = ""
    user: str = ""


SAYS_NOTHING: Final = Keeping()


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Which collections a request wants to be answered from.

    Attributes:
        collections: their names.
        top_k: how many passages; None = the settings' default.
    """

    collections: tuple[str, ...]
    top_k: int | None = None


@dataclass(frozen=True, slots=True)
class NamedToolset:
    """A set of tools that a request names in place of its tools.

    Attributes:
        name: its name.
        where: the field that names it, as the client wrote it.
    """

    name: str
    where: str


Door = Literal["http", "responses", "messages", "grpc"]
"""What a client speaks: OpenAI's completions, its Responses, Anthropic's Messages, gRPC."""

NO_PREFERENCES: Final = CallerPreferences()

NO_FIELDS: Final[frozenset[str]] = frozenset()
NOTHING_NEEDED: Final[Mapping[str, str]] = {}
AUTO: Final = frozenset({"", "auto", "moegate"})
"""Values of `model` that leave the choice to the router."""

_LEFT_TO_THE_MODEL: Final = frozenset({chat.ToolChoice.MODE_UNSPECIFIED, chat.ToolChoice.MODE_AUTO})


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
        preferences: what the caller asks of routing.
        priority: who goes first when there is a queue.
        caller: who asks, by the API key.
        traceparent: the caller's W3C trace context, if it sent one.
        keeping: whether it may be kept, and under which names.
        retrieval: which collections it wants to be answered from, if any.
        toolsets: sets of tools whose tools it offers as well.
        read: turns that a step has read as the router does, by their text; the router goes on with them.
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
    preferences: CallerPreferences = NO_PREFERENCES
    priority: Priority = Priority.INTERACTIVE
    caller: Caller = ANYONE
    traceparent: str | None = None
    keeping: Keeping = SAYS_NOTHING
    retrieval: Retrieval | None = None
    toolsets: tuple[NamedToolset, ...] = ()
    read: Mapping[str, Features] | None = field(default=None, repr=False, compare=False)

    @property
    def needs_steps(self) -> Mapping[str, str]:
        """What means nothing where no step reads it, and the field that has it."""
        if self.retrieval is None and not self.toolsets:
            return NOTHING_NEEDED
        needed = {} if self.retrieval is None else {"retrieval": "retrieval"}
        if self.toolsets:
            needed["toolset"] = self.toolsets[0].where
        return needed

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
    def has_strict_tools(self) -> bool:
        """Whether a call that breaks its schema may not be presented as one."""
        return not isinstance(self.input, str) and any(tool.strict for tool in self.input.tools)

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
        return reduced_form(wanted) if wanted.type == chat.ResponseFormat.TYPE_JSON_SCHEMA else ""


def reduced_form(wanted: chat.ResponseFormat) -> str:
    """Return the reduced schema of a form, serialised.

    Raises:
        SchemaError: it cannot be reduced.
    """
    return reduced_text(wanted.schema_json, "strict" if wanted.strict else "loose")


PRIORITY_HEADER: Final = "x-moegate-priority"
STORE_HEADER: Final = "x-moegate-store"
WORKLOAD_HEADER: Final = "x-moegate-workload"
_WORKLOAD: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


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


def read_keeping(header: Callable[[str], str | None], *, store: bool | None, user: str | None) -> Keeping:
    """Read what a request says about being kept, out of its body's fields and its headers or metadata.

    Either of the two is enough to forbid it.

    Raises:
        InvalidRequest: a header holds something else than it may.
    """
    said, workload = header(STORE_HEADER), header(WORKLOAD_HEADER)
    if said is None and workload is None and store is None and user is None:
        return SAYS_NOTHING
    if said not in (None, "true", "false"):
        raise InvalidRequest(f"'{STORE_HEADER}' is true or false", param=STORE_HEADER)
    if workload is not None and not _WORKLOAD.fullmatch(workload):
        message = f"'{WORKLOAD_HEADER}' is of 1 to 128 letters, digits, '.', '_', ':' and '-'"
        raise InvalidRequest(message, param=WORKLOAD_HEADER)
    return Keeping(store is not False and said != "false", workload or "", user or "")
