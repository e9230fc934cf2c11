"""A dispatcher between experts that play a script and a follower that remembers: what tests of dispatch share."""

from collections.abc import Callable
from typing import Any

from grpc import StatusCode
from prometheus_client import CollectorRegistry

from protos import expert_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.dispatch.dispatcher import Dispatcher
from serve.errors import ExpertUnavailable, MoegateError
from serve.expert_client.h2.call import CallError
from serve.expert_client.stream import ExpertStream
from serve.request import ChatRequest
from serve.settings.tree import CircuitSettings, DispatchSettings, ExpertsSettings
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.dispatch import CircuitState
from tests.fakes.core import FakeChannels, Item
from tests.helpers import catalog_of, chat_request, chunk, expert_spec, last_chunk, route_decision

Play = list[Item]
TAKEN_ON = pb.GenerateChunk()
BEGUN = pb.GenerateChunk(prompt_tokens=7)
ANSWERS: Play = [TAKEN_ON, BEGUN, chunk("Hello"), last_chunk(1)]
SILENT: Play = [None]
HANGS: Play = [TAKEN_ON, BEGUN, None]
UNREACHABLE = ExpertUnavailable("no connection")


def ends(status: StatusCode, details: str = "", *, begun: bool = False) -> Play:
    """A call that ends without a token."""
    before: Play = [TAKEN_ON, BEGUN] if begun else []
    return [*before, CallError(status, details)]


LOST = ends(StatusCode.UNAVAILABLE)
LOST_BEGUN = ends(StatusCode.UNAVAILABLE, begun=True)
FAILS = ends(StatusCode.INTERNAL, begun=True)
FULL = ends(StatusCode.RESOURCE_EXHAUSTED)
TOO_LONG = ends(StatusCode.INVALID_ARGUMENT, "context_length_exceeded: 9 > 8")
WRONG = ends(StatusCode.INVALID_ARGUMENT, "temperature")
LATE = ends(StatusCode.DEADLINE_EXCEEDED, begun=True)


class Told:
    """A follower that remembers."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, str]] = []
        self.lost_work: list[tuple[str, Waste, int]] = []

    def fell_back(self, expert: str, to: str) -> None:
        self.moves.append((expert, to))

    def lost(self, expert: str, waste: Waste, work: Work) -> None:
        self.lost_work.append((expert, waste, work.prompt_tokens))


class Stage:
    """A dispatcher, its experts coder, advisor and generalist, and one request's follower."""

    def __init__(
        self,
        *,
        coder: dict[str, Any] | None = None,
        advisor: dict[str, Any] | None = None,
        experts: dict[str, Any] | None = None,
        circuit: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.channels = FakeChannels()
        self.metrics = Metrics(CollectorRegistry())
        self.told = Told()
        self.dispatcher = Dispatcher(
            catalog_of(
                expert_spec("coder", **coder or {}),
                expert_spec("advisor", **advisor or {}),
                expert_spec("generalist"),
            ),
            self.channels,
            ExpertsSettings(**{"target": "127.0.0.1:1", **(experts or {})}),
            DispatchSettings(circuit=CircuitSettings(**{"failures": 1, **(circuit or {})}), **settings),
            self.metrics.dispatch,
        )

    def play(self, expert: str, *calls: Play | MoegateError) -> None:
        """What the expert's next calls are; the last one stays."""
        self.channels.plays[expert] = list(calls)

    async def ask(
        self,
        *ranking: str,
        reason: Reason = Reason.CLASSIFIED,
        request: ChatRequest | None = None,
        read: Callable[[ExpertStream], Any] | None = None,
    ) -> RouteDecision:
        """Dispatch a request; returns the decision as carried out."""
        decision = route_decision(*ranking or ("coder", "advisor"), reason=reason)
        async with self.dispatcher.dispatch(
            request or chat_request(), decision, self.told, lambda _: decision
        ) as stream:
            if read is not None:
                await read(stream)
            return stream.decision

    def state(self, expert: str) -> CircuitState:
        return self.dispatcher.circuits[expert].state

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"moegate_{name}", labels) or 0.0

    async def close(self) -> None:
        """The end; nothing is left open, and nothing counts as in flight."""
        await self.dispatcher.close()
        assert not self.channels.open
        assert not +self.dispatcher.in_flight
