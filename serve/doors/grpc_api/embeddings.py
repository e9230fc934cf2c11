"""The gRPC door's `Embed`: between `gateway.proto` and the core's nouns."""

from protos import gateway_pb2 as pb
from serve.doors.request_builder import Arrival
from serve.embeddings.embedder import Embedded, EmbeddingRequest
from serve.request import Caller, read_priority


def embedding_request(
    message: pb.EmbedRequest, arrival: Arrival, caller: Caller, remaining_s: float | None
) -> EmbeddingRequest:
    """Build the core's request; `remaining_s` is gRPC's deadline.

    Raises:
        InvalidRequest: metadata cannot be read.
    """
    return EmbeddingRequest(
        request_id=arrival.request_id,
        door=arrival.door,
        model=message.model,
        texts=tuple(message.texts),
        dimensions=message.dimensions or None,
        received_at=arrival.received_at,
        deadline=arrival.deadline(remaining_s),
        priority=read_priority(arrival.headers),
        caller=caller,
    )


def embed_message(answer: Embedded) -> pb.EmbedResponse:
    """Write the answer."""
    vectors = [pb.Vector(values=row.tolist()) for row in answer.vectors]
    return pb.EmbedResponse(model=answer.model, vectors=vectors, tokens=answer.tokens)
