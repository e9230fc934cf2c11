"""How steps ask the encoder for vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protos import encoder_pb2 as pb
from serve.telemetry.metrics.encoder import EncoderMetrics


class Encoder(Protocol):
    """Turns texts into vectors; `serve.expert_client.encoder_channel.EncoderChannel` asks Ray Serve."""

    async def embed(self, message: pb.EmbedRequest, *, timeout_s: float) -> pb.EmbedResponse:
        """Encode.

        Raises:
            MoegateError: it did not.
        """
        ...


async def vectors_of(
    texts: Sequence[str], role: pb.Role.ValueType, encoder: Encoder, metrics: EncoderMetrics, *, timeout_s: float
) -> npt.NDArray[np.float32]:
    """Encode texts, none of them empty; the end of one that is too long is left unread.

    Returns:
        Rows of length 1: (texts, dimensions).

    Raises:
        MoegateError: the encoder did not.
    """
    message = pb.EmbedRequest(texts=texts, role=role, truncate=True)
    answer = await encoder.embed(message, timeout_s=timeout_s)
    metrics.tokens.inc(sum(embedding.tokens for embedding in answer.embeddings))
    raw = b"".join(embedding.vector for embedding in answer.embeddings)
    return np.frombuffer(raw, "<f4").reshape(len(texts), answer.dimensions)
