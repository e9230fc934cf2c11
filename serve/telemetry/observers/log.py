"""Writes a request's line in the log: names, numbers and outcomes, never its text."""

import logging

from serve.costs.tariffs import usd
from serve.telemetry.logs import tell
from serve.telemetry.loss import Loss
from serve.telemetry.observer import Observer
from serve.telemetry.record import OK, RequestRecord
from serve.validation.forms import FORM_NAMES

log = logging.getLogger("moegate.request")


class LogObserver(Observer):
    """Writes one line a request, and one for each fallback and each request handed back."""

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """Warn of it."""
        log.warning("fell back", extra={"request_id": record.request.request_id, "expert": expert, "to": to})

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """Tell of it: nothing is wrong."""
        fields = {"request_id": record.request.request_id, "expert": expert, "to": record.expert}
        log.info("handed back", extra=fields)

    def ended(self, record: RequestRecord) -> None:
        """Write the line."""
        request, decision = record.request, record.decision
        lost = [_lost(loss) for loss in record.losses]
        fields: dict[str, object] = {
            "request_id": request.request_id,
            "response_id": request.id,
            "tenant": request.caller.name or None,
            "door": request.door,
            "mode": record.mode,
            "outcome": record.outcome,
            "expert": record.expert,
            "reason": decision.reason.value if decision else None,
            "confidence": round(decision.confidence, 4) if decision else None,
            "quality_cost": request.preferences.quality_cost,
            "propensity": decision.propensity if decision else None,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "cost_usd": record.cost_usd,
            "wasted_usd": record.cost_usd if record.outcome != OK else usd(sum(one.pico for one in record.losses)),
            "route_us": round(decision.route_s * 1e6, 1) if decision else None,
            "overhead_ms": round(record.overhead_s * 1e3, 3),
            "ttft_ms": round(record.ttft_s * 1e3, 3),
            "duration_ms": round(record.duration_s * 1e3, 3),
        }
        if record.completion is not None and record.completion.form:
            fields["form"] = FORM_NAMES.get(record.completion.form)
        if record.completion is not None and record.completion.usage.estimated:
            fields["usage_estimated"] = True
        if record.is_recalled:
            fields["saved_usd"] = usd(record.saved_pico)
        fields |= record.notes
        if lost:
            fields["lost"] = lost
        if record.trace.exemplar:
            fields |= record.trace.exemplar
        tell(log, "request", fields)


def _lost(loss: Loss) -> dict[str, object]:
    return {
        "expert": loss.expert,
        "cause": loss.cause.value,
        "prompt_tokens": loss.work.prompt_tokens,
        "completion_tokens": loss.work.completion_tokens,
        "cost_usd": usd(loss.pico),
    }
