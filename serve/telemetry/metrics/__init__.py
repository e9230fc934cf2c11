"""Every metric of the gateway, grouped by concern, on a registry that is handed in.

Labels are closed sets: experts of the catalogue (or `none`), doors, modes, reasons, error codes. Nothing a client
sends becomes a label. All clocks are the gateway's. A new concern is a new module with one class that takes a
`Registrar`, and one line here; `docs/architecture.md` lists every name.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Protocol

from prometheus_client import CollectorRegistry

from router.decision import Reason
from serve.errors import DeadlineExceeded, ExpertFailed, ExpertUnavailable, Overloaded
from serve.telemetry.metrics.access import AccessMetrics
from serve.telemetry.metrics.admission import AdmissionMetrics
from serve.telemetry.metrics.cache import CacheMetrics
from serve.telemetry.metrics.configuration import ConfigurationMetrics
from serve.telemetry.metrics.dispatch import DispatchMetrics
from serve.telemetry.metrics.encoder import EncoderMetrics
from serve.telemetry.metrics.experts import ExpertMetrics
from serve.telemetry.metrics.feedback import FeedbackMetrics
from serve.telemetry.metrics.guard import GuardMetrics
from serve.telemetry.metrics.interactions import InteractionMetrics
from serve.telemetry.metrics.keys import KeyMetrics
from serve.telemetry.metrics.money import MoneyMetrics
from serve.telemetry.metrics.process import ProcessMetrics
from serve.telemetry.metrics.registrar import Across, Registrar
from serve.telemetry.metrics.remote import RemoteMetrics
from serve.telemetry.metrics.requests import NO_EXPERT, RequestMetrics
from serve.telemetry.metrics.retrieval import RetrievalMetrics
from serve.telemetry.metrics.routing import RoutingMetrics
from serve.telemetry.metrics.tool_selection import ToolSelectionMetrics
from serve.telemetry.metrics.trials import TrialMetrics

__all__ = ["NO_EXPERT", "Metrics"]


class Metrics:
    """The gateway's metrics. One instance a process; a test makes its own with its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        add = Registrar(registry)
        self.registry = registry
        self.across: Mapping[str, Across] = add.across
        self.requests = RequestMetrics(add)
        self.access = AccessMetrics(add)
        self.admission = AdmissionMetrics(add)
        self.routing = RoutingMetrics(add)
        self.dispatch = DispatchMetrics(add)
        self.experts = ExpertMetrics(add)
        self.feedback = FeedbackMetrics(add)
        self.guard = GuardMetrics(add)
        self.cache = CacheMetrics(add)
        self.encoder = EncoderMetrics(add)
        self.tool_selection = ToolSelectionMetrics(add)
        self.retrieval = RetrievalMetrics(add)
        self.money = MoneyMetrics(add)
        self.process = ProcessMetrics(add)
        self.configuration = ConfigurationMetrics(add)
        self.keys = KeyMetrics(add)
        self.interactions = InteractionMetrics(add)
        self.trials = TrialMetrics(add)
        self.remote = RemoteMetrics(add)

    def expect(self, experts: Sequence[str], handing_back: Sequence[str] = ()) -> None:
        """Show what has not happened yet as 0: a counter that begins at 1 has no increase to alert on.

        `handing_back` are those of the experts that hand back what no tool fits.
        """
        reasons = [reason.value for reason in Reason]
        refused = (Overloaded.code, ExpertUnavailable.code, DeadlineExceeded.code)
        _make(self.requests.tokens, experts, ("prompt", "completion"))
        _make(self.requests.wasted_tokens, experts)
        _make(self.requests.stream_errors, experts, (ExpertFailed.code,))
        _make(self.requests.ended, experts, ("http", "grpc"), ("ok", "cancelled"))
        _make(self.requests.ended, (NO_EXPERT,), ("http", "grpc"), refused)
        _make(self.routing.classes, experts)
        _make(self.routing.decisions, experts, reasons)
        _make(self.routing.turns, ("stayed", "moved"))
        _make(self.routing.reloads, ("taken", "refused"))
        _make(self.dispatch.fallbacks, experts, experts)
        _make(self.dispatch.hand_backs, handing_back, experts)
        _make(self.feedback.ratings, experts, ("good", "bad"))


class _Labelled(Protocol):
    def labels(self, *values: str) -> object: ...


def _make(metric: _Labelled, *values: Sequence[str]) -> None:
    for combination in product(*values):
        metric.labels(*combination)
