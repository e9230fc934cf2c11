"""What a caller may ask of routing besides the words: the knob, a latency target, who answered before.

Each is a field of the request, or a header (HTTP) or metadata key (gRPC) of the same name at both doors; the field
wins. Ranges are checked here, so that an error names what the caller wrote.
"""

import math
from collections.abc import Callable
from typing import Final

from router.policy.decide import RoutingPreferences
from serve.errors import InvalidRequest
from serve.request import CallerPreferences
from serve.settings.tree import RouterSettings

QUALITY_COST_HEADER: Final = "x-moegate-quality-cost"
TTFT_TARGET_HEADER: Final = "x-moegate-ttft-target-ms"
PREVIOUS_EXPERT_HEADER: Final = "x-moegate-previous-expert"


def read_preferences(
    header: Callable[[str], str | None],
    *,
    quality_cost: float | None,
    ttft_target_ms: float | None,
    previous_expert: str | None = None,
) -> CallerPreferences:
    """Gather the preferences of a request: its fields, and where they are None its headers.

    Args:
        header: looks a header up by its lower-case name.
        quality_cost: the field of that name.
        ttft_target_ms: likewise.
        previous_expert: likewise; HTTP has the header alone.

    Raises:
        InvalidRequest: a value is no number or out of its range; `param` names the field or the header.
    """
    return CallerPreferences(
        _number(header, "quality_cost", QUALITY_COST_HEADER, quality_cost, lowest=0.0, highest=1.0),
        _number(header, "ttft_target_ms", TTFT_TARGET_HEADER, ttft_target_ms, lowest=1.0, highest=math.inf),
        previous_expert or header(PREVIOUS_EXPERT_HEADER) or None,
    )


def routing_preferences(
    said: CallerPreferences,
    settings: RouterSettings,
    *,
    elapsed_s: float,
    now: float,
    max_tokens: int | None,
    last_speaker: str | None,
) -> RoutingPreferences:
    """What the router is told: the caller's preferences, and the settings' where there are none.

    Args:
        said: by the caller.
        settings: of the router.
        elapsed_s: since receipt, from which a latency target counts.
        now: the clock by which the experts' estimates are dated, seconds.
        max_tokens: most completion tokens that the caller will take.
        last_speaker: who gave the conversation's last answer, as its messages say.
    """
    target_ms = settings.ttft_target_ms if said.ttft_target_ms is None else said.ttft_target_ms
    return RoutingPreferences(
        quality_cost=settings.quality_cost if said.quality_cost is None else said.quality_cost,
        ttft_target_s=None if target_ms is None else target_ms / 1e3 - elapsed_s,
        max_tokens=max_tokens,
        previous_expert=said.previous_expert or last_speaker,
        now=now,
    )


def _number(
    header: Callable[[str], str | None], field: str, name: str, value: float | None, *, lowest: float, highest: float
) -> float | None:
    """Read one number and check its range."""
    param, found = field, value
    if found is None:
        text = header(name)
        if text is None:
            return None
        param = name
        try:
            found = float(text)
        except ValueError:
            found = math.nan
    if not (lowest <= found <= highest and math.isfinite(found)):
        bound = f"between {lowest:g} and {highest:g}" if math.isfinite(highest) else f"at least {lowest:g}"
        raise InvalidRequest(f"'{param}' must be a number {bound}", param=param)
    return found
