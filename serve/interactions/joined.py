"""Answers beside what was thought of them: joined by the answer's id, whichever worker or gateway took either in.

A rating counts if the key that asked gave it, or an operator's; a gateway takes no other in. Where several keys rated
an answer, their mean is its reward.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Any

from serve.feedback.rating import Rating
from serve.interactions.segments import Row


def by_response(ratings: Iterable[Rating]) -> dict[str, list[Rating]]:
    """Gather ratings by the answer that they are of."""
    gathered: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        gathered[rating.response_id].append(rating)
    return gathered


def rated_rows(rows: Iterable[Row], ratings: Iterable[Rating]) -> Iterator[dict[str, Any]]:
    """One row a rated answer, as `router.evaluation.offpolicy` and `router.train` read them; comments stay out."""
    known = by_response(ratings)
    for row in rows:
        said = known.get(row["response"]["id"])
        if said and not row["moegate"]["recalled"]:
            yield _rated(row, said)


def _rated(row: Row, said: list[Rating]) -> dict[str, Any]:
    own, asked = row["moegate"], row["request"]
    decision = own["decision"] or {}
    better = [rating.better_expert for rating in said if rating.better_expert]
    return {
        "response_id": row["response"]["id"],
        "timestamp": row["timestamp"],
        "workload_id": row["workload_id"],
        "client_id": row["client_id"],
        "user": own["user"],
        "conversation": own["conversation"],
        "expert": own["expert"],
        "reason": decision.get("reason"),
        "confidence": decision.get("confidence"),
        "propensity": decision.get("propensity"),
        "chances": decision.get("chances"),
        "ranking": decision.get("ranking"),
        "router_version": decision.get("router_version"),
        "reward": fmean(rating.rating for rating in said),
        "better_expert": better[-1] if better else None,
        "cost_usd": own["cost_usd"],
        "ttft_s": own["latency"]["ttft_s"],
        "messages": asked.get("messages") or [{"role": "user", "content": asked.get("prompt", "")}],
        "tools": asked.get("tools"),
        "tool_choice": asked.get("tool_choice"),
    }
