"""The HTTP door's `/v1/vector_stores`: which collections there are, and a search of one."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve.doors.http_api.asgi import ClientDisconnect, ClientGone, HeaderLookup, read_json_body
from serve.doors.json_body import parse
from serve.doors.openai_api.vector_stores import VectorStoreSearchBody, search_body, store_object, stores_body
from serve.doors.request_builder import Limits, RequestBuilder
from serve.embeddings.vector_stores import SearchQuery, VectorStores
from serve.request import read_priority
from serve.settings.tree import Settings

_TOP_K = 10


class VectorStoresEndpoints:
    """Answers them."""

    def __init__(self, stores: VectorStores, settings: Settings) -> None:
        self._stores = stores
        self._max_bytes = settings.http.max_body_bytes
        self._builder = RequestBuilder("http", Limits(stores.timeout_s, 0))

    def routes(self) -> list[Route]:
        """The paths."""
        return [
            Route("/v1/vector_stores", self._list),
            Route("/v1/vector_stores/{id}", self._get),
            Route("/v1/vector_stores/{id}/search", self._search, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        return _json(stores_body(await self._stores.listed(request.state.caller)))

    async def _get(self, request: Request) -> Response:
        found = await self._stores.get(request.state.caller, request.path_params["id"])
        return _json(orjson.dumps(store_object(found)))

    async def _search(self, request: Request) -> Response:
        arrival = self._builder.arrive(HeaderLookup(request.scope), id_prefix="req-")
        raw = await read_json_body(request.scope, request.receive, self._max_bytes)
        body = parse(VectorStoreSearchBody, raw)
        query = SearchQuery(
            request_id=request.state.request_id,
            door=arrival.door,
            collection=request.path_params["id"],
            query=body.query,
            top_k=body.max_num_results or _TOP_K,
            received_at=arrival.received_at,
            deadline=arrival.deadline(),
            priority=read_priority(arrival.headers),
            caller=request.state.caller,
        )
        departure: ClientDisconnect = request.state.departure
        try:
            with departure.watch():
                found = await self._stores.search(query)
        except ClientGone:
            return Response(status_code=408)  # which nobody reads
        return _json(search_body(body, found.passages), dict(found.limit_headers))


def _json(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, headers=headers, media_type="application/json")
