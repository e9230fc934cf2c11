"""The encoder's gRPC handler, as Ray Serve runs it in each replica: `moegate.encoder.v1.Encoder`.

`experts.app` wraps this plain class in a deployment, as it does an expert's; nothing here knows Ray.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from experts.catalog.secret import Guard, secret_from_environment
from experts.cluster.deployment import CallContext, errors_as_status, read_deadline
from experts.encoders.batching import EncoderQueue, Options
from experts.encoders.encoder import Encode, Encoding, NoCollection, Role
from experts.engine import DeadlineExceeded, InvalidRequest
from protos import encoder_pb2

MAX_TEXTS = 2048  # of a request: OpenAI's own bound
MAX_COLLECTIONS = 16
MAX_PASSAGES = 64
_ROLES = {encoder_pb2.ROLE_QUERY: Role.QUERY}


class Search(Protocol):
    """Searches collections; both methods block."""

    def __call__(self, request: encoder_pb2.SearchRequest, question: Encoding) -> encoder_pb2.SearchResponse:
        """Search, given the question and its vectors, a vector a token among them.

        Raises:
            NoCollection: there is none of that name.
            StoreFailed: the store cannot be used.
        """

    def collections(self, names: Sequence[str]) -> encoder_pb2.CollectionsResponse:
        """List all collections, or those of these names.

        Raises:
            StoreFailed: the store cannot be used.
        """


class EncoderDeployment:
    """Serves one encoder to many callers."""

    def __init__(
        self, name: str, load: Callable[[], Encode], open_searcher: Callable[[Encode], Search] | None = None
    ) -> None:
        """Take what the replica is made of.

        Args:
            name: what clients call the encoder.
            load: loads it, in seconds.
            open_searcher: opens the store of collections, where there is one.
        """
        self._open_searcher = open_searcher
        self._searcher: Search | None = None
        self._name = name
        self._load = load
        self._guard = Guard(secret_from_environment())
        self._queue: EncoderQueue | None = None

    async def check_health(self) -> None:
        """Raise when the replica must be replaced; the first time, which Ray waits for, loads the encoder."""
        if self._queue is None:
            encoder = await asyncio.to_thread(self._load)
            await asyncio.to_thread(encoder.encode, ["Warm up."], Role.QUERY)  # the first run of all makes buffers
            if self._open_searcher is not None:
                self._searcher = await asyncio.to_thread(self._open_searcher, encoder)
            self._queue = EncoderQueue(encoder)
        self._queue.check_health()

    async def Embed(  # Ray finds the method by its RPC's name
        self, request: encoder_pb2.EmbedRequest, grpc_context: CallContext
    ) -> encoder_pb2.EmbedResponse:
        """Turn texts into vectors."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            _check(request)
            deadline_s = read_deadline(grpc_context.invocation_metadata(), time.monotonic())
            role = _ROLES.get(request.role, Role.PASSAGE)
            options = Options(role, with_tokens=request.token_vectors, truncate=request.truncate)
            queue = self._ready()
            served = await queue.encode(request.texts, options, deadline_s)
            encoding = served.encoding
            pooled = encoding.pooled.astype("<f4", copy=False)
            return encoder_pb2.EmbedResponse(
                embeddings=[
                    encoder_pb2.Embedding(
                        vector=pooled[row].tobytes(),
                        tokens=count,
                        token_vectors=encoding.tokens[row].astype("<f4", copy=False).tobytes()
                        if encoding.tokens
                        else b"",
                    )
                    for row, count in enumerate(encoding.token_counts)
                ],
                model=self._name,
                artifact=queue.encoder.artifact,
                dimensions=queue.encoder.dimensions,
                queue_s=served.queue_s,
                encode_s=served.encode_s,
            )

    async def Search(  # Ray finds the method by its RPC's name
        self, request: encoder_pb2.SearchRequest, grpc_context: CallContext
    ) -> encoder_pb2.SearchResponse:
        """Find the passages that answer a question best."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            _check_search(request)
            if self._searcher is None:
                raise NoCollection("there is no store")
            now_s = time.monotonic()
            deadline_s = read_deadline(grpc_context.invocation_metadata(), now_s)
            options = Options(Role.QUERY, with_tokens=True, truncate=True)
            served = await self._ready().encode([request.question], options, deadline_s)
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            try:
                async with asyncio.timeout(left_s):
                    found = await asyncio.to_thread(self._searcher, request, served.encoding)
            except TimeoutError:
                raise DeadlineExceeded("the deadline passed before the search was done") from None
            found.encode_s = served.queue_s + served.encode_s
            return found

    async def Collections(  # Ray finds the method by its RPC's name
        self, request: encoder_pb2.CollectionsRequest, grpc_context: CallContext
    ) -> encoder_pb2.CollectionsResponse:
        """List the collections."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            self._ready()
            if self._searcher is None:
                return encoder_pb2.CollectionsResponse()
            return await asyncio.to_thread(self._searcher.collections, request.names)

    async def Describe(  # Ray finds the method by its RPC's name
        self,
        request: encoder_pb2.DescribeRequest,  # Ray passes it
        grpc_context: CallContext,
    ) -> encoder_pb2.DescribeResponse:
        """Say what the encoder is and how busy this replica of it is."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            queue = self._ready()
            queue.check_health()
            encoder = queue.encoder
            return encoder_pb2.DescribeResponse(
                model=self._name,
                artifact=encoder.artifact,
                dimensions=encoder.dimensions,
                max_tokens=encoder.max_tokens,
                waiting=queue.waiting,
            )

    def _ready(self) -> EncoderQueue:
        assert self._queue is not None  # Ray lets no call in before `check_health` has returned
        return self._queue


def _check_search(request: encoder_pb2.SearchRequest) -> None:
    if not 1 <= len(request.collections) <= MAX_COLLECTIONS:
        raise InvalidRequest(f"there must be 1 to {MAX_COLLECTIONS} collections")
    if not request.question.strip():
        raise InvalidRequest("the question is empty")
    if not 1 <= request.top_k <= MAX_PASSAGES:
        raise InvalidRequest(f"top_k is 1 to {MAX_PASSAGES}")


def _check(request: encoder_pb2.EmbedRequest) -> None:
    if not 1 <= len(request.texts) <= MAX_TEXTS:
        raise InvalidRequest(f"there must be 1 to {MAX_TEXTS} texts")
    if not all(request.texts):
        raise InvalidRequest("a text is empty")
