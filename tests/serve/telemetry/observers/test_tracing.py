"""A trace is told each step of its request, in the request's order."""

from typing import Any

import pytest

from protos import chat_pb2 as chat
from router.decision import RouteDecision
from serve.errors import ExpertFailed
from serve.request import ChatRequest
from serve.telemetry.observers.tracing import TraceObserver
from serve.telemetry.recorder import Recorder
from tests.helpers import FlatPrices, chat_request, chunk, last_chunk, route_decision


class Written:
    """A trace, and its tracer, that writes down what it is told."""

    exemplar: dict[str, str] | None = None
    traceparent: str | None = None

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, request: ChatRequest) -> "Written":
        return self

    def close(self) -> None:
        pass

    def admitted(self, waited_s: float) -> None:
        self.told.append(("admitted", waited_s))

    def routed(self, decision: RouteDecision) -> None:
        self.told.append(("routed", decision.expert))

    def fell_back(self, expert: str, to: str) -> None:
        self.told.append(("fell_back", expert, to))

    def first_token(self) -> None:
        self.told.append(("first_token",))

    def end(self, *said: Any) -> None:
        self.told.append(("end", *said))


def recorder(trace: Written) -> Recorder:
    return Recorder((TraceObserver(),), FlatPrices(), tracer=trace)


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (chat.FINISH_REASON_STOP, "stop"),
        (chat.FINISH_REASON_LENGTH, "length"),
        (chat.FINISH_REASON_TOOL_CALLS, "tool_calls"),
        (chat.FINISH_REASON_UNSPECIFIED, None),
    ],
)
def test_each_step_is_told_in_its_place(reason: chat.FinishReason, name: str | None) -> None:
    trace = Written()
    with recorder(trace).follow(chat_request()) as record:
        record.admitted(0.5)
        record.routed(route_decision("coder", "advisor"))
        record.fell_back("coder", "advisor")
        record.answered(route_decision("advisor"), 0.0)
        record.tokens(chunk())
        end = last_chunk(3)
        end.completion.finish_reason = reason
        record.completed(end.completion)
    assert trace.told == [
        ("admitted", 0.5),
        ("routed", "coder"),
        ("fell_back", "coder", "advisor"),
        ("first_token",),
        ("end", "ok", 7, 3, name, pytest.approx(10e-12)),
    ]


def test_a_trace_ends_however_its_request_does() -> None:
    trace = Written()
    with pytest.raises(ExpertFailed), recorder(trace).follow(chat_request()):
        raise ExpertFailed("it broke")
    assert trace.told == [("end", "expert_failed", 0, 0, None, 0.0)]
