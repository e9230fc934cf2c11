"""The life of a request for embeddings: check, reserve, admit, ask the encoder, record.

Beside `serve.gateway`, which does the same for answers. There is nothing to route, no answer to stream and no price: an
encoder costs what its machine costs, so a key's USD are left alone, and its requests and tokens a minute count.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from protos import encoder_pb2 as pb
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.errors import InternalError, InvalidRequest, MoegateError, UnknownModel
from serve.limits.bucket import Amount
from serve.limits.quota import Headers, Quotas
from serve.limits.reservation import tokens_at_most
from serve.request import AUTO, Caller, Door, Priority
from serve.settings.encoder import EncoderSettings
from serve.telemetry.metrics.encoder import EncoderMetrics
from serve.telemetry.metrics.keys import KeyMetrics

log = logging.getLogger("moegate.embeddings")

_SPECIAL_TOKENS: Final = 2  # that the encoder puts around a text
Floats = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into vectors; `serve.expert_client.encoder_channel.EncoderChannel` asks Ray Serve."""

    async def embed(self, message: pb.EmbedRequest, *, timeout_s: float) -> pb.EmbedResponse:
        """Encode.

        Raises:
            MoegateError: it did not.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One request.

    Attributes:
        request_id: the caller's name for it, or ours.
        door: where it came in.
        model: the encoder's name, or one of `serve.request.AUTO`.
        texts: what to encode.
        dimensions: how long a vector is to be; None: as the encoder makes it.
        received_at: gateway's monotonic clock, seconds.
        deadline: likewise.
        priority: who goes first when there is a queue.
        caller: who asks.
    """

    request_id: str
    door: Door
    model: str
    texts: tuple[str, ...]
    dimensions: int | None
    received_at: float
    deadline: float
    priority: Priority
    caller: Caller


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors, and what they took.

    Attributes:
        model: the encoder's name.
        vectors: rows of length 1: (texts, dimensions), float32.
        tokens: that the encoder read.
        limit_headers: what is left of the key's limits.
    """

    model: str
    vectors: Floats
    tokens: int
    limit_headers: Headers = ()


@dataclass(slots=True)
class _Record:
    """What is known of one request; `serve.limits.quota` asks for what it has spent."""

    tokens: int = 0
    waited_s: float = 0.0
    queue_s: float = 0.0
    encode_s: float = 0.0
    outcome: str = field(default="ok")

    def spent(self) -> Amount:
        """Tokens, and no money."""
        return Amount(self.tokens)


class Embedder:
    """Answers requests for embeddings.

    Attributes:
        model: what clients call the encoder.
        settings: its part of the settings.
    """

    def __init__(
        self,
        model: str,
        settings: EncoderSettings,
        encoder: Encoder,
        *,
        allowances: Quotas,
        admission: Admission,
        drain: Drain,
        metrics: EncoderMetrics,
        keys: KeyMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.settings = settings
        self._encoder = encoder
        self._allowances = allowances
        self._admission = admission
        self._drain = drain
        self._metrics = metrics
        self._keys = keys
        self._clock = clock

    async def embed(self, request: EmbeddingRequest) -> Embedded:
        """Encode a request's texts; who cancels ends the work at the encoder, too.

        Raises:
            MoegateError: it could not be done, and why.
        """
        with self._recorded(request) as record, self._drain.watch():
            self._check(request)
            most = sum(tokens_at_most(text.encode()) + _SPECIAL_TOKENS for text in request.texts)
            async with (
                self._allowances.hold_tokens(request.caller, most, record, param="input") as allowance,
                self._admission.permit(
                    deadline=request.deadline, priority=request.priority, tenant=request.caller.name
                ) as waited_s,
            ):
                record.waited_s = waited_s
                message = pb.EmbedRequest(texts=request.texts, role=pb.ROLE_PASSAGE)
                answer = await self._encoder.embed(message, timeout_s=request.deadline - self._clock())
                record.tokens = sum(embedding.tokens for embedding in answer.embeddings)
                record.queue_s, record.encode_s = answer.queue_s, answer.encode_s
                vectors = _vectors(answer, request.dimensions)
                await allowance.settle()
                return Embedded(self.model, vectors, record.tokens, allowance.headers)

    def _check(self, request: EmbeddingRequest) -> None:
        if request.model not in AUTO | {self.model}:
            raise UnknownModel(f"no such model for embeddings; there is: {self.model}", param="model")
        if not 1 <= len(request.texts) <= self.settings.max_texts:
            raise InvalidRequest(f"'input' holds 1 to {self.settings.max_texts} texts", param="input")
        for number, text in enumerate(request.texts):
            if not text.strip():
                raise InvalidRequest("a text is empty", param=f"input[{number}]")

    @contextmanager
    def _recorded(self, request: EmbeddingRequest) -> Iterator[_Record]:
        """Count and log the request once, however it ends."""
        record = _Record()
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
            self._tell(request, record)

    def _tell(self, request: EmbeddingRequest, record: _Record) -> None:
        duration_s = self._clock() - request.received_at
        self._metrics.calls.labels("embed", record.outcome).inc()
        self._metrics.seconds.labels("embed").observe(duration_s)
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
            "texts": len(request.texts),
            "tokens": record.tokens,
            "waited_ms": round(record.waited_s * 1e3, 3),
            "queue_ms": round(record.queue_s * 1e3, 3),
            "encode_ms": round(record.encode_s * 1e3, 3),
            "duration_ms": round(duration_s * 1e3, 3),
        }
        log.info("embeddings", extra=fields)


def _vectors(answer: pb.EmbedResponse, dimensions: int | None) -> Floats:
    """Read the vectors; shortened ones get the length 1 again, as OpenAI's do.

    Raises:
        InvalidRequest: vectors are to be longer than they are.
    """
    raw = b"".join(embedding.vector for embedding in answer.embeddings)
    vectors: Floats = np.frombuffer(raw, "<f4").reshape(len(answer.embeddings), answer.dimensions)
    if dimensions is None or dimensions == answer.dimensions:
        return vectors
    if not 1 <= dimensions <= answer.dimensions:
        raise InvalidRequest(f"'dimensions' is 1 to {answer.dimensions}", param="dimensions")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    shortened: Floats = cut / np.maximum(lengths, np.float32(1e-12))
    return shortened
