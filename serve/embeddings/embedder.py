"""The life of a request for embeddings: check, reserve, admit, ask the encoder, record.

Beside `serve.gateway`, which does the same for answers. There is nothing to route, no answer to stream and no price: an
encoder costs what its machine costs, so a key's USD are left alone, and its requests and tokens a minute count.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from protos import encoder_pb2 as pb
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.embeddings.calls import EncoderCalls
from serve.errors import InvalidRequest, UnknownModel
from serve.limits.quota import Headers, Quotas
from serve.limits.reservation import tokens_at_most
from serve.request import AUTO, Caller, Door, Priority
from serve.settings.encoder import EncoderSettings

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
        calls: EncoderCalls,
    ) -> None:
        self.model = model
        self.settings = settings
        self._encoder = encoder
        self._allowances = allowances
        self._admission = admission
        self._drain = drain
        self._calls = calls

    async def embed(self, request: EmbeddingRequest) -> Embedded:
        """Encode a request's texts; who cancels ends the work at the encoder, too.

        Raises:
            MoegateError: it could not be done, and why.
        """
        with self._calls.recorded("embed", request) as record, self._drain.watch():
            record.facts["texts"] = len(request.texts)
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
                answer = await self._encoder.embed(message, timeout_s=request.deadline - self._calls.clock())
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
