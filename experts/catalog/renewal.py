"""What of a changed catalogue may take effect while its experts run, and what waits for a restart."""

from __future__ import annotations

from typing import Final

from experts.catalog.spec import Catalog, ExpertSpec

LIVE: Final = frozenset({"canary_share", "description", "licence", "price", "shadow_share"})
"""Fields of an entry that only the gateway reads. The others are built into replicas, connections and the router."""


def renewed(running: Catalog, found: Catalog) -> tuple[Catalog, tuple[str, ...]]:
    """Take over what may change; return the catalogue to go on with, and the names of what waits.

    An expert that has come, gone or moved waits, and so does the catalogue's default.
    """
    waiting = [f"experts.{name}" for name in sorted({*running.names} ^ {*found.names})]
    if running.default != found.default:
        waiting.append("default")
    entries = []
    for spec in running.experts:
        other = found.get(spec.name)
        entries.append(spec if other is None else _renewed(spec, other))
        waiting += [] if other is None else _waiting(spec, other)
    return Catalog(experts=tuple(entries), default=running.default), tuple(waiting)


def _renewed(spec: ExpertSpec, other: ExpertSpec) -> ExpertSpec:
    return spec.model_copy(update={field: getattr(other, field) for field in LIVE})


def _waiting(spec: ExpertSpec, other: ExpertSpec) -> list[str]:
    fields = [field for field in ExpertSpec.model_fields if getattr(spec, field) != getattr(other, field)]
    return [f"experts.{spec.name}.{field}" for field in fields if field not in LIVE]
