"""Every metric of the gateway, grouped by concern, on a registry that is handed in.

Labels are closed sets: experts of the catalogue (or `none`), doors, modes, reasons, error codes. Nothing a client
sends becomes a label. All clocks are the gateway's. A new concern is a new module with one class that takes a
`Registrar`, and one line here; `docs/architecture.md` lists every name.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from serve.metrics.access import AccessMetrics
from serve.metrics.admission import AdmissionMetrics
from serve.metrics.dispatch import DispatchMetrics
from serve.metrics.experts import ExpertMetrics
from serve.metrics.process import ProcessMetrics
from serve.metrics.registrar import Across, Registrar
from serve.metrics.requests import NO_EXPERT, RequestMetrics
from serve.metrics.routing import RoutingMetrics

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
        self.process = ProcessMetrics(add)
