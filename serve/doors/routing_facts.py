"""What both doors report about the routing of a request: HTTP headers, or gRPC's initial metadata."""

from serve.steps.answer import Answer


def routing_facts(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Name and value of each fact; what is left of the key's limits comes last."""
    decision = answer.decision
    return (
        ("x-moegate-expert", decision.expert),
        ("x-moegate-reason", decision.reason.value),
        ("x-moegate-confidence", f"{decision.confidence:.4f}"),
        ("x-moegate-ranking", ",".join([f"{c.expert}={c.probability:.4f}" for c in decision.ranking])),
        ("x-moegate-overhead-ms", f"{answer.overhead_s * 1e3:.3f}"),
        ("x-moegate-router", decision.router_version),
        *((f"x-moegate-{step}", facts) for step, facts in answer.notes.items()),
        *answer.limit_headers,
    )
