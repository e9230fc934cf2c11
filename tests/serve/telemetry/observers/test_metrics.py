"""A request's part in the metrics: which series move, under which labels, by how much."""

from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Reason
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.errors import ExpertFailed
from serve.telemetry.metrics import Metrics
from serve.telemetry.observers.metrics import MetricsObserver
from serve.telemetry.recorder import Recorder
from tests.helpers import FlatPrices, chat_request, chunk, last_chunk, route_decision, sample


class Clock:
    """Says the times of a list, then the last one for ever."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times = list(times)

    def __call__(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


class Watched:
    """A recorder and the registry that it writes to."""

    def __init__(self, *times: float, buckets: dict[str, int] | None = None) -> None:
        self.registry = CollectorRegistry()
        observer = MetricsObserver(Metrics(self.registry), buckets)
        self.recorder = Recorder((observer,), FlatPrices(), clock=Clock(times or (100.0,)))

    def __call__(self, name: str, **labels: str) -> float | None:
        return sample(self.registry, name, **labels)

    def answer(self, end: pb.GenerateChunk, tokens: Sequence[int] = (1,), reason: Reason = Reason.CLASSIFIED) -> None:
        decision = route_decision("coder", reason=reason)
        with self.recorder.follow(chat_request(received_at=100.0)) as record:
            record.admitted(0.5)
            record.routed(decision)
            record.answered(decision, 0.0)
            for count in tokens:
                record.tokens(chunk(tokens=count))
            record.completed(end.completion)


def test_a_whole_answer_is_counted_once_under_its_labels() -> None:
    seen = Watched(101.0, 102.0, 106.0, 110.0)  # routed, first token, two more, end
    seen.answer(last_chunk(3), tokens=(1, 2))
    coder = {"expert": "coder", "mode": "unary"}
    assert seen("requests_total", expert="coder", door="http", outcome="ok") == 1
    assert seen("requests_in_flight", expert="coder") == seen("requests_in_flight", expert="none") == 0
    assert seen("admission_wait_seconds_sum") == 0.5
    assert seen("gateway_overhead_seconds_sum") == 0.5
    assert seen("time_to_first_token_seconds_sum", **coder) == 2.0
    assert seen("inter_token_seconds_sum", **coder) == 2.0  # 4 s for two tokens
    assert seen("inter_token_seconds_count", **coder) == 1
    assert seen("time_per_output_token_seconds_sum", **coder) == 2.0
    assert seen("request_duration_seconds_sum", **coder) == 10.0
    assert seen("tokens_total", expert="coder", kind="prompt") == 7
    assert seen("tokens_total", expert="coder", kind="completion") == 3
    assert seen("route_seconds_sum") == 0.001
    assert seen("route_decisions_total", expert="coder", reason="classified") == 1
    assert seen("wasted_tokens_total", expert="coder") is None


@pytest.mark.parametrize(
    ("reason", "is_chosen"), [(reason, reason in ("classified", "abstained")) for reason in Reason]
)
def test_confidence_is_observed_where_the_router_chose(reason: Reason, is_chosen: bool) -> None:
    seen = Watched()
    seen.answer(last_chunk(1), reason=reason)
    assert (seen("route_confidence_count", expert="coder") == 1) == is_chosen


def test_in_flight_moves_with_the_request() -> None:
    seen = Watched()
    with seen.recorder.follow(chat_request()) as record:
        assert seen("requests_in_flight", expert="none") == 1
        record.routed(route_decision("coder", "advisor"))
        assert (seen("requests_in_flight", expert="none"), seen("requests_in_flight", expert="coder")) == (0, 1)
        record.fell_back("coder", "advisor")
        record.answered(route_decision("coder", "advisor").fallback_to(1), 0.0)
        assert (seen("requests_in_flight", expert="coder"), seen("requests_in_flight", expert="advisor")) == (0, 1)
    assert seen("requests_in_flight", expert="advisor") == 0
    assert seen("fallbacks_total", expert="coder", to="advisor") == 1
    assert seen("route_decisions_total", expert="advisor", reason="fallback") == 1


def test_a_request_that_reached_nobody_has_no_expert_and_no_tokens() -> None:
    seen = Watched()
    with pytest.raises(ExpertFailed), seen.recorder.follow(chat_request(door="grpc")):
        raise ExpertFailed("it broke")
    assert seen("requests_total", expert="none", door="grpc", outcome="expert_failed") == 1
    assert seen("request_duration_seconds_count", expert="none", mode="unary") is None
    assert seen("stream_errors_total", expert="none", code="expert_failed") is None


@pytest.mark.parametrize(
    ("error", "code", "broken"),
    [(ExpertFailed("it broke"), "expert_failed", 1), (GeneratorExit(), "cancelled", None)],
)
def test_an_answer_cut_off_is_wasted_and_broken_unless_the_client_left(
    error: BaseException, code: str, broken: float | None
) -> None:
    seen = Watched()
    with pytest.raises(type(error)), seen.recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.tokens(chunk(tokens=4))
        raise error
    assert seen("wasted_tokens_total", expert="coder") == 4
    assert seen("stream_errors_total", expert="coder", code=code) == broken


def test_a_lost_attempts_tokens_are_its_own_experts() -> None:
    seen = Watched()
    with seen.recorder.follow(chat_request()) as record:
        record.routed(route_decision("coder"))
        record.lost("advisor", Waste.HEDGED, Work(5, 9, 0.1))
    assert seen("wasted_tokens_total", expert="advisor") == 9
    assert seen("wasted_tokens_total", expert="coder") is None


@pytest.mark.parametrize(("bucket", "padded"), [(10, 3), (7, 0), (5, 0)])
def test_what_a_static_shape_pads_is_counted(bucket: int, padded: int) -> None:
    seen = Watched(buckets={"coder": bucket})
    seen.answer(last_chunk(1, prompt_tokens=7))
    assert seen("padded_prompt_tokens_total", expert="coder") == padded


def test_tool_calls_forms_and_citations_are_counted_by_outcome() -> None:
    end = last_chunk(2)
    end.completion.tool_calls.ok, end.completion.tool_calls.invalid_arguments = 2, 1
    end.completion.form = chat.FORM_OUTCOME_CUT
    end.completion.dropped_citations = 4
    seen = Watched()
    seen.answer(end)
    assert seen("tool_calls_total", expert="coder", outcome="ok") == 2
    assert seen("tool_calls_total", expert="coder", outcome="invalid_arguments") == 1
    assert seen("tool_calls_total", expert="coder", outcome="repaired") is None
    assert seen("structured_answers_total", expert="coder", outcome="cut") == 1
    assert seen("dropped_citations_total", expert="coder") == 4
