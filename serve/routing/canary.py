"""Sends a share of one expert's requests to a new version on trial; decided after routing and before dispatch.

A canary is an expert of its own in the catalogue (`canary_of`, `canary_share`), so every metric, price and log line
distinguishes the two by name. The expert that it stands in for is next in the ranking. So a canary that fails before
its first token costs its clients only time. A caller who names an expert gets that expert.
"""

from collections.abc import Mapping
from dataclasses import replace
from zlib import crc32

from experts.catalog.spec import Catalog, ExpertSpec
from router.decision import Candidate, Reason, RouteDecision


def canaries(catalog: Catalog) -> dict[str, ExpertSpec]:
    """Return each expert's canary, by the expert's name."""
    return {spec.canary_of: spec for spec in catalog.experts if spec.canary_of is not None}


def with_canary(decision: RouteDecision, on_trial: Mapping[str, ExpertSpec], request_id: str) -> RouteDecision:
    """Put the chosen expert's canary before it, for the share of requests in its catalogue entry.

    The same request id always goes the same way.
    """
    canary = on_trial.get(decision.expert)
    if canary is None or decision.reason is Reason.PINNED or _draw(request_id) >= canary.canary_share:
        return decision
    others = tuple(candidate for candidate in decision.ranking if candidate.expert != canary.name)
    return replace(decision, ranking=(Candidate(canary.name, decision.confidence), *others))


def _draw(request_id: str) -> float:
    """Map a request id to [0, 1), evenly."""
    return crc32(request_id.encode()) / 2**32
