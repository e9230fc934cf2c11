"""Metrics of the selection of tools."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Children, Registrar


class ToolSelectionMetrics:
    """`serve.steps.tool_selection.step` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.requests = Children(
            add.counter(
                "tool_selection_requests",
                "Requests whose tools were chosen among (`selected`), or kept since nothing told them apart (`unsure`)",
                "outcome",
            )
        )
        self.left_out = add.counter("tools_left_out", "Offered tools that no expert was shown")
        self.seconds = add.histogram(
            "tool_selection_seconds", "Time to choose the tools of a request, its set being prepared", buckets.GATEWAY
        )
