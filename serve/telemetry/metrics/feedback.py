"""Metrics of feedback: ratings by expert, better experts that people named, and whether the confidence is right."""

from typing import Final

from serve.telemetry.metrics.registrar import Across, Children, Registrar

BINS: Final = 10


class FeedbackMetrics:
    """`serve.feedback.store` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.ratings = Children(
            add.counter("feedback", "Feedback taken in, by the expert that answered and verdict", "expert", "verdict")
        )
        self.better = Children(
            add.counter("feedback_better", "Feedback that names a better expert", "expert", "better")
        )
        self.calibration = Children(
            add.counter(
                "calibration", "Rated decisions of the router, by tenth of confidence and verdict", "bin", "verdict"
            )
        )
        self.ece = add.gauge(
            "calibration_ece",
            "Expected calibration error over the rated decisions since start, 0..1",
            across=Across.MAX,
        )
