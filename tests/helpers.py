"""What many tests need: the chat path, small requests and decisions, and waiting for something to become true."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import Catalog, ExpertSpec
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Candidate, Reason, RouteDecision
from serve.costs.tariffs import Work
from serve.request import ChatRequest
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord
from serve.telemetry.recorder import Recorder

CHAT = "/v1/chat/completions"


async def until(condition: Callable[[], object], seconds: float = 60, *, every_s: float = 0.01) -> None:
    """Wait until `condition`, or what it awaits, holds; the bound only ends a test that would hang."""
    began = time.monotonic()
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() - began < seconds, "it did not happen"
        await asyncio.sleep(every_s)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One series' value, its name without our prefix; None where it has not been made."""
    return registry.get_sample_value(f"moegate_{name}", labels)


def chat_request(text: str = "Fix this function", **changes: Any) -> ChatRequest:
    """A request with one user turn, that has all the time in the world."""
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=text)])
    fields: dict[str, Any] = {
        "id": "r",
        "request_id": "r",
        "door": "http",
        "model": "auto",
        "input": conversation,
        "sampling": chat.Sampling(),
        "is_stream": False,
        "received_at": time.monotonic(),
        "deadline": time.monotonic() + 600,
    }
    return ChatRequest(**fields | changes)


def expert_spec(name: str, **changes: Any) -> ExpertSpec:
    """An expert of a catalogue, whose tokens cost nothing."""
    fields: dict[str, Any] = {
        "name": name,
        "description": "plays a part",
        "base": "pypi:none",
        "engine": "echo",
        "context_window": 1000,
        "licence": "MIT",
        "price": Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
    }
    return ExpertSpec(**fields | changes)


def catalog_of(*experts: ExpertSpec) -> Catalog:
    """A catalogue whose last expert is the default."""
    return Catalog(experts=experts, default=experts[-1].name)


def route_decision(*experts: str, reason: Reason = Reason.CLASSIFIED, confidence: float = 0.8) -> RouteDecision:
    """A decision for the first of `experts`, with the others behind it."""
    ranking = tuple(Candidate(name, confidence / (at + 1)) for at, name in enumerate(experts))
    return RouteDecision(ranking, reason, confidence, "v", 0.001)


def chunk(text: str = " word", tokens: int = 1, prompt_tokens: int = 7) -> pb.GenerateChunk:
    """A message of an expert's stream."""
    return pb.GenerateChunk(text=text, token_count=tokens, prompt_tokens=prompt_tokens)


def last_chunk(tokens: int, prompt_tokens: int = 7) -> pb.GenerateChunk:
    """The message that ends an expert's stream."""
    usage = chat.Usage(prompt_tokens=prompt_tokens, completion_tokens=tokens)
    completion = pb.Completion(usage=usage, finish_reason=chat.FINISH_REASON_STOP)
    completion.timings.prefill_s, completion.timings.decode_s = 0.25, 0.75
    return pb.GenerateChunk(completion=completion)


class FlatPrices:
    """A price list: a picodollar a token."""

    def price(self, expert: str, work: Work) -> int:
        """Price a piece of work."""
        return work.prompt_tokens + work.completion_tokens


def routed_record(decision: RouteDecision, previous: str | None = None, text: str = "Hello") -> RequestRecord:
    """A record that has come as far as its decision, with nobody to tell."""
    record = Recorder((), FlatPrices()).follow(chat_request(text))
    record.admitted(0.0)
    record.routed(decision, previous)
    return record


class Diary(Observer):
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def begun(self, record: RequestRecord) -> None:
        self.events.append(("begun",))

    def admitted(self, record: RequestRecord) -> None:
        self.events.append(("admitted", record.waited_s))

    def assigned(self, record: RequestRecord, previous: str) -> None:
        self.events.append(("assigned", previous, record.expert))

    def routed(self, record: RequestRecord) -> None:
        self.events.append(("routed", record.expert))

    def dispatched(self, record: RequestRecord) -> None:
        self.events.append(("dispatched",))

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        self.events.append(("fell_back", expert, to))

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        self.events.append(("handed_back", expert, record.expert))

    def lost(self, record: RequestRecord, loss: Any) -> None:
        self.events.append(("lost", loss.expert, loss.cause.value, loss.pico))

    def answered(self, record: RequestRecord) -> None:
        self.events.append(("answered", record.expert))

    def first_token(self, record: RequestRecord) -> None:
        self.events.append(("first_token",))

    def tokens(self, record: RequestRecord, count: int, gap_s: float) -> None:
        self.events.append(("tokens", count))

    def completed(self, record: RequestRecord, completion: pb.Completion) -> None:
        self.events.append(("completed", completion.usage.completion_tokens))

    def ended(self, record: RequestRecord) -> None:
        self.events.append(("ended", record.outcome))
