"""Metrics of retrieval. No collection's name is a label: a request brings those."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Children, Registrar


class RetrievalMetrics:
    """`serve.steps.retrieval.step` writes them."""

    def __init__(self, add: Registrar) -> None:
        text = "Requests that wanted passages: `found`, `empty`, `failed` or `refused`"
        self.requests = Children(add.counter("retrieval_requests", text, "outcome"))
        text = "Time of a search, by stage; the whole of it by our clock"
        self.seconds = Children(add.histogram("retrieval_seconds", text, buckets.QUEUE, "stage"))
        text = "Whole answers that had passages, by whether they cite one"
        self.answers = Children(add.counter("retrieval_answers", text, "cites"))
        text = "What was taken out of passages, because it commands the model"
        self.neutralised = Children(add.counter("retrieval_neutralised", text, "kind"))
