"""One record an answer: NVIDIA's five fields, and under `moegate` what else the flywheel needs.

The five are `timestamp`, `workload_id`, `client_id`, `request` and `response` (NVIDIA's data flywheel blueprint); what
reads its logs reads ours. `workload_id` is the caller's (`x-moegate-workload`), or the expert that answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.interactions.chat_json import request_json, response_json, set_fields
from serve.interactions.redaction import Redaction
from serve.routing.canary import origin_of
from serve.telemetry.record import RequestRecord
from serve.validation.forms import FORM_NAMES


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a candidate has made of a request that somebody else has answered.

    Attributes:
        expert: the candidate's name.
        ttft_s: seconds from asking it to its first token; likewise `duration_s` to its end.
        cost_usd: what it cost.
        error: why it has not answered, by code; empty where it has.
    """

    expert: str
    ttft_s: float
    duration_s: float
    cost_usd: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """An answer that is over and waits to be kept.

    Attributes:
        at: seconds since 1970.
        record: everything that is known of it; nobody changes it any more.
        chunks: the expert's messages; the last one carries its account.
        artifact: digest of the weights that answered, as the expert last said; empty where it has none.
        size: bytes, roughly.
        shadow: a candidate's answer, which nobody got, in place of the request's own.
    """

    at: float
    record: RequestRecord
    chunks: Sequence[pb.GenerateChunk]
    artifact: str
    size: int
    shadow: Shadowed | None = None


def as_row(ended: Ended, redaction: Redaction, *, catalog: str, sample: float) -> dict[str, Any]:
    """Put the record together, redacted.

    Args:
        ended: what is to be kept.
        redaction: this record's.
        catalog: the catalogue's digest.
        sample: the share of requests that are kept.

    Raises:
        BrokenRule: it could not be redacted.
    """
    if ended.shadow is not None:
        return _shadow_row(ended, ended.shadow, redaction)
    record = ended.record
    completion = ended.chunks[-1].completion
    request, keeping = record.request, record.request.keeping
    at = int(ended.at)
    return {
        "timestamp": at,
        "workload_id": keeping.workload or record.expert,
        "client_id": request.caller.name,
        "request": request_json(record.prepared, redaction),
        "response": response_json(request.id, record.expert, at, ended.chunks, redaction),
        "moegate": {
            "expert": record.expert,
            "door": request.door,
            "conversation": origin_of(record.prepared).hex(),
            "user": _pseudonym(request.caller.name, keeping.user) if keeping.user else None,
            "decision": None if record.decision is None else _decision(record.decision),
            "catalog": catalog,
            "artifact": ended.artifact,
            "latency": _latency(record, completion),
            "cost_usd": record.cost_usd,
            "recalled": record.is_recalled,
            "sample": sample,
            "redacted": redaction.found,
            **_outcomes(record, completion),
        },
    }


def _shadow_row(ended: Ended, shadow: Shadowed, redaction: Redaction) -> dict[str, Any]:
    """A candidate's answer beside the one that the user got, whose id it names."""
    request, at = ended.record.request, int(ended.at)
    asked = request_json(ended.record.prepared, redaction)
    name = f"{request.id}-shadow"
    answer: dict[str, Any] = {"id": name, "object": "chat.completion", "model": shadow.expert, "choices": []}
    if not shadow.error:
        answer = response_json(name, shadow.expert, at, ended.chunks, redaction)
    return {
        "timestamp": at,
        "workload_id": f"shadow:{ended.record.expert}",
        "client_id": request.caller.name,
        "request": asked,
        "response": answer,
        "moegate": {
            "expert": shadow.expert,
            "shadow_of": request.id,
            "artifact": ended.artifact,
            "latency": {"ttft_s": shadow.ttft_s, "duration_s": shadow.duration_s},
            "cost_usd": shadow.cost_usd,
            "error": shadow.error,
            "recalled": False,
            "redacted": redaction.found,
        },
    }


def _decision(decision: RouteDecision) -> dict[str, Any]:
    return {
        "router_version": decision.router_version,
        "reason": decision.reason.value,
        "confidence": decision.confidence,
        "propensity": decision.propensity,
        "chances": decision.chances,
        "ranking": {candidate.expert: candidate.probability for candidate in decision.ranking},
    }


def _latency(record: RequestRecord, completion: pb.Completion) -> dict[str, float]:
    timings = completion.timings
    return {
        "waited_s": record.waited_s,
        "overhead_s": record.overhead_s,
        "ttft_s": record.ttft_s,
        "duration_s": record.duration_s,
        "queue_s": timings.queue_s,
        "prefill_s": timings.prefill_s,
        "decode_s": timings.decode_s,
    }


def _outcomes(record: RequestRecord, completion: pb.Completion) -> dict[str, Any]:
    """What is known of the answer itself; only what there was."""
    outcomes: dict[str, Any] = {}
    if completion.HasField("tool_calls"):
        outcomes["tool_calls"] = set_fields(completion.tool_calls)
    if completion.form:
        outcomes["form"] = FORM_NAMES.get(completion.form)
    if completion.dropped_citations:
        outcomes["dropped_citations"] = completion.dropped_citations
    if record.losses:
        outcomes["lost"] = [{"expert": loss.expert, "cause": loss.cause.value} for loss in record.losses]
    if record.notes:
        outcomes["notes"] = dict(record.notes)
    return outcomes


def _pseudonym(client: str, user: str) -> str:
    """The same person of the same client has the same name, which tells nothing else."""
    return blake2b(user.encode(), key=client.encode()[:64], digest_size=12).hexdigest()
