"""An encoder without Ray or a model: a text's vector is made of its length and its words."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np

from experts.catalog.encoders import ENCODER_APPLICATION
from protos import encoder_pb2 as pb
from protos.encoder_pb2_grpc import EncoderServicer

DIMENSIONS = 4
MOST_TOKENS = 100

Context = grpc.aio.ServicerContext[Any, Any]


def vector_of(text: str) -> np.ndarray[Any, Any]:
    """The vector of a text, of length 1."""
    raw = np.array([len(text), len(text.split()), ord(text[0]), 1], np.float32)
    return raw / np.linalg.norm(raw)


class FakeEncoder(EncoderServicer):
    """The service.

    Attributes:
        refuse: status (and details) in place of an answer.
        gate: no answer comes until it is set; as it is by default.
        requests, metadata, cancelled, searches: what has happened so far.
        passages: what every search finds.
        collections: those that there are.
    """

    def __init__(self) -> None:
        self.refuse: tuple[grpc.StatusCode, str] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[pb.EmbedRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.cancelled = 0
        self.passages: list[pb.Passage] = []
        self.searches: list[pb.SearchRequest] = []
        self.collections: list[pb.Collection] = []

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        self.searches.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        if self.refuse is not None:
            _refused(context, *self.refuse)
            return pb.SearchResponse()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        times = {"encode_s": 0.004, "words_s": 0.003, "meaning_s": 0.002, "rank_s": 0.001}
        return pb.SearchResponse(passages=self.passages[: request.top_k], **times)

    async def Collections(self, request: pb.CollectionsRequest, context: Context) -> pb.CollectionsResponse:
        if self.refuse is not None:
            _refused(context, *self.refuse)
            return pb.CollectionsResponse()
        found = [one for one in self.collections if not request.names or one.name in request.names]
        return pb.CollectionsResponse(collections=found)

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        self.requests.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        assert self.metadata[-1]["application"] == ENCODER_APPLICATION
        if self.refuse is not None:
            return _refused(context, *self.refuse)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for number, text in enumerate(request.texts):
            if (size := len(text.split())) > MOST_TOKENS:
                words = f"text_too_long: text {number} has {size} tokens; at most {MOST_TOKENS} are read"
                return _refused(context, grpc.StatusCode.INVALID_ARGUMENT, words)
        return pb.EmbedResponse(
            embeddings=[
                pb.Embedding(vector=vector_of(text).astype("<f4").tobytes(), tokens=len(text.split()))
                for text in request.texts
            ],
            model="theirs",
            artifact="hash",
            dimensions=DIMENSIONS,
            queue_s=0.25,
            encode_s=0.5,
        )


def _refused(context: Context, status: grpc.StatusCode, details: str) -> pb.EmbedResponse:
    """Fail as Ray Serve does: an empty message, then the status."""
    context.set_code(status)
    context.set_details(details)
    return pb.EmbedResponse()
