"""What is counted and logged of a call of the encoder that makes no answer: once, however it ends. Never a text."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from serve.errors import InternalError, MoegateError
from serve.limits.bucket import Amount
from serve.request import Caller, Door
from serve.telemetry.metrics.encoder import EncoderMetrics
from serve.telemetry.metrics.keys import KeyMetrics

log = logging.getLogger("moegate.embeddings")


class Asked(Protocol):
    """What every request that is recorded here has."""

    @property
    def request_id(self) -> str:
        """The caller's name for it, or ours."""

    @property
    def door(self) -> Door:
        """Where it came in."""

    @property
    def received_at(self) -> float:
        """When, by our clock."""

    @property
    def caller(self) -> Caller:
        """Who asks."""


@dataclass(slots=True)
class CallRecord:
    """What is known of one request; `serve.limits.quota` asks for what it has spent."""

    tokens: int = 0
    waited_s: float = 0.0
    queue_s: float = 0.0
    encode_s: float = 0.0
    facts: dict[str, int] = field(default_factory=dict)
    outcome: str = "ok"

    def spent(self) -> Amount:
        """Tokens, and no money."""
        return Amount(self.tokens)


class EncoderCalls:
    """Records them."""

    def __init__(
        self, metrics: EncoderMetrics, keys: KeyMetrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._metrics = metrics
        self._keys = keys

    @contextmanager
    def recorded(self, call: str, request: Asked) -> Iterator[CallRecord]:
        """Count and log a request; `call` is its kind in metrics and log."""
        record = CallRecord()
        try:
            yield record
        except MoegateError as error:
            record.outcome = error.code
            raise
        except asyncio.CancelledError:
            record.outcome = "cancelled"
            raise
        except Exception:
            record.outcome = InternalError.code
            raise
        finally:
            self._tell(call, request, record)

    def _tell(self, call: str, request: Asked, record: CallRecord) -> None:
        duration_s = self.clock() - request.received_at
        self._metrics.calls.labels(call, record.outcome).inc()
        self._metrics.seconds.labels(call).observe(duration_s)
        self._metrics.tokens.inc(record.tokens)
        if name := request.caller.name:
            key = self._keys.label(name)
            self._keys.requests.labels(key).inc()
            self._keys.tokens.labels(key, "prompt").inc(record.tokens)
        fields = {
            "request_id": request.request_id,
            "tenant": request.caller.name or None,
            "door": request.door,
            "outcome": record.outcome,
            **record.facts,
            "tokens": record.tokens,
            "waited_ms": round(record.waited_s * 1e3, 3),
            "queue_ms": round(record.queue_s * 1e3, 3),
            "encode_ms": round(record.encode_s * 1e3, 3),
            "duration_ms": round(duration_s * 1e3, 3),
        }
        log.info(_MESSAGES[call], extra=fields)


_MESSAGES = {"embed": "embeddings", "search": "vector store search"}
