"""Metrics of calls of the encoder."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Children, Registrar


class EncoderMetrics:
    """`serve.embeddings.embedder` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.calls = Children(
            add.counter("encoder_requests", "Requests to the encoder, however they ended", "call", "outcome")
        )
        self.seconds = Children(
            add.histogram("encoder_seconds", "Time from a request to the encoder's answer", buckets.QUEUE, "call")
        )
        self.tokens = add.counter("encoder_tokens", "Tokens that the encoder has read")
