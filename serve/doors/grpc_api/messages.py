"""Translates between the core's nouns and the messages of `gateway.proto`."""

from typing import Final

from experts.conversation.request_limits import MAX_DOCUMENTS
from protos import gateway_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.doors.own_fields import MOST_COLLECTIONS
from serve.errors import InvalidRequest
from serve.gateway import Gateway
from serve.request import NamedToolset, Retrieval
from serve.steps.answer import Answer

REASONS: Final = {
    Reason.CLASSIFIED: pb.REASON_CLASSIFIED,
    Reason.PINNED: pb.REASON_PINNED,
    Reason.ABSTAINED: pb.REASON_ABSTAINED,
    Reason.OVER_CONTEXT: pb.REASON_OVER_CONTEXT,
    Reason.UNHEALTHY: pb.REASON_UNHEALTHY,
    Reason.STICKY: pb.REASON_STICKY,
    Reason.FALLBACK: pb.REASON_FALLBACK,
    Reason.HANDED_BACK: pb.REASON_HANDED_BACK,
}


def decision_message(decision: RouteDecision) -> pb.RouteDecision:
    """A decision, whole."""
    return pb.RouteDecision(
        expert=decision.expert,
        reason=REASONS[decision.reason],
        confidence=decision.confidence,
        ranking=[pb.Candidate(expert=c.expert, probability=c.probability) for c in decision.ranking],
        router_version=decision.router_version,
        route_us=decision.route_s * 1e6,
    )


def summary_message(answer: Answer) -> pb.Summary:
    """How an answer ended, and what it took."""
    end = answer.end
    return pb.Summary(
        finish_reason=end.completion.finish_reason,
        usage=end.completion.usage,
        cost_usd=end.cost_usd,
        ttft_s=end.ttft_s,
        overhead_ms=answer.overhead_s * 1e3,
        annotations=end.completion.annotations,
        form=end.completion.form,
    )


def experts_message(gateway: Gateway) -> pb.ListExpertsResponse:
    """The catalogue, with each expert's health and load."""
    return pb.ListExpertsResponse(
        experts=[
            pb.ExpertInfo(
                name=expert.name,
                description=expert.description,
                ready=health.is_ready,
                context_window=expert.context_window,
                usd_per_million_prompt_tokens=expert.price.usd_per_prompt_token * 1e6,
                usd_per_million_completion_tokens=expert.price.usd_per_completion_token * 1e6,
                running=health.running,
                waiting=health.waiting,
                base=expert.base,
                engine=expert.engine,
            )
            for expert in gateway.catalog.experts
            for health in (gateway.health.experts[expert.name],)
        ]
    )


def read_retrieval(message: pb.GenerateRequest) -> Retrieval | None:
    """Read which collections a request wants to be answered from, if any.

    Raises:
        InvalidRequest: there are none, or too many, or too many passages are wanted.
    """
    if not message.HasField("retrieval"):
        return None
    wanted = message.retrieval
    if not 1 <= len(wanted.collections) <= MOST_COLLECTIONS:
        where = "retrieval.collections"
        raise InvalidRequest(f"'{where}' holds 1 to {MOST_COLLECTIONS} names", param=where)
    if wanted.top_k > MAX_DOCUMENTS:
        raise InvalidRequest(f"'retrieval.top_k' is at most {MAX_DOCUMENTS}", param="retrieval.top_k")
    return Retrieval(tuple(wanted.collections), wanted.top_k or None)


def read_toolsets(message: pb.GenerateRequest) -> tuple[NamedToolset, ...]:
    """Read which sets of tools a request offers."""
    return tuple(NamedToolset(name, f"toolsets[{place}]") for place, name in enumerate(message.toolsets))
