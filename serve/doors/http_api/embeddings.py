"""The HTTP door's `POST /v1/embeddings`, in OpenAI's form."""

from typing import Final

from starlette.types import Receive, Scope, Send

from serve.doors.http_api.asgi import JSON, ClientDisconnect, HeaderLookup, Reply, answering, read_json_body
from serve.doors.json_body import parse
from serve.doors.openai_api.embeddings import EmbeddingsBody, embeddings_body
from serve.doors.request_builder import Limits, RequestBuilder
from serve.embeddings.embedder import Embedder, EmbeddingRequest
from serve.request import read_priority
from serve.settings.tree import Settings

PATH: Final = "/v1/embeddings"


class EmbeddingsEndpoint:
    """Answers it."""

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        self._embedder = embedder
        self._max_bytes = settings.http.max_body_bytes
        self._builder = RequestBuilder("http", Limits(embedder.settings.timeout_s, 0))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        arrival = self._builder.arrive(HeaderLookup(scope), id_prefix="emb-")
        reply = Reply(send, [(b"x-request-id", arrival.request_id.encode())])
        async with answering(reply, arrival.request_id):
            body = parse(EmbeddingsBody, await read_json_body(scope, receive, self._max_bytes))
            request = EmbeddingRequest(
                request_id=arrival.request_id,
                door=arrival.door,
                model=body.model,
                texts=tuple(body.input),
                dimensions=body.dimensions,
                received_at=arrival.received_at,
                deadline=arrival.deadline(),
                priority=read_priority(arrival.headers),
                caller=scope["state"]["caller"],
            )
            departure: ClientDisconnect = scope["state"]["departure"]
            with departure.watch():
                answer = await self._embedder.embed(request)
            headers = [(name.encode(), value.encode()) for name, value in answer.limit_headers]
            await reply.whole(200, [JSON, *headers], embeddings_body(answer, body.encoding_format))
