"""The HTTP door's `/v1/responses/{id}`: a response that is kept is read again, or deleted."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serve.doors.openai_api.responses.store import ResponseStore
from serve.errors import UnknownResponse


class StoredResponses:
    """Answers GET and DELETE. A key finds its own responses alone."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def get(self, request: Request) -> Response:
        """The response as it was sent.

        Raises:
            UnknownResponse: none of that id is kept.
            StorageUnavailable: the store cannot be read.
        """
        found = await self._store.get(*_named(request)) if self._store.is_on else None
        if found is None:
            raise _unknown()
        return Response(found.body, media_type="application/json")

    async def delete(self, request: Request) -> Response:
        """Forget it; responses that go on from it keep what they have of it.

        Raises:
            UnknownResponse: none of that id is kept.
            StorageUnavailable: the store cannot be written.
        """
        response_id, tenant = _named(request)
        if not self._store.is_on or not await self._store.delete(response_id, tenant):
            raise _unknown()
        said: dict[str, Any] = {"id": response_id, "object": "response", "deleted": True}
        return Response(orjson.dumps(said), media_type="application/json")


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["id"], request.scope["state"]["caller"].name


def _unknown() -> UnknownResponse:
    return UnknownResponse("no such response is kept", param="id")
