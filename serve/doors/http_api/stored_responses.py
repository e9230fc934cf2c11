"""The HTTP door's `/v1/responses/{id}`: a response that is kept, or its input, is read again, or deleted.

`cancel` is refused.

OpenAI cancels responses that were made in the background alone
(https://platform.openai.com/docs/api-reference/responses/cancel). No response here is: each ends with its request.
"""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serve.doors.openai_api.responses.input_items import input_items, page_body, read_page
from serve.doors.openai_api.responses.store import ResponseStore, Stored
from serve.errors import InvalidRequest, UnknownResponse

_NONE: Final = "no such response is kept"
_TO_CANCEL: Final = "to cancel one that is running, close its connection"


class StoredResponses:
    """Answers GET, DELETE, `input_items` and `cancel`. A key finds its own responses alone."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def get(self, request: Request) -> Response:
        """The response as it was sent.

        Raises:
            UnknownResponse: none of that id is kept.
            StorageUnavailable: the store cannot be read.
        """
        return Response((await self._found(request)).body, media_type="application/json")

    async def input_items(self, request: Request) -> Response:
        """A page of the items that it answered.

        Raises:
            InvalidRequest: there is no such page.
            UnknownResponse: none of that id is kept.
            StorageUnavailable: the store cannot be read.
        """
        page = read_page(request.query_params)
        return Response(page_body(input_items(await self._found(request)), page), media_type="application/json")

    async def delete(self, request: Request) -> Response:
        """Forget it; responses that go on from it keep what they have of it.

        Raises:
            UnknownResponse: none of that id is kept.
            StorageUnavailable: the store cannot be written.
        """
        response_id, tenant = _named(request)
        if not self._store.is_on or not await self._store.delete(response_id, tenant):
            raise UnknownResponse(_NONE, param="id")
        said: dict[str, Any] = {"id": response_id, "object": "response", "deleted": True}
        return Response(orjson.dumps(said), media_type="application/json")

    async def cancel(self, request: Request) -> Response:
        """Say why it cannot be cancelled, and what can.

        Raises:
            InvalidRequest: it is kept, so it has ended.
            UnknownResponse: none of that id is kept; it may still be running.
            StorageUnavailable: the store cannot be read.
        """
        await self._found(request, f"{_NONE}; {_TO_CANCEL}")
        ended = "'id': this response has ended, and none is made in the background"
        raise InvalidRequest(f"{ended}; {_TO_CANCEL}", param="id")

    async def _found(self, request: Request, otherwise: str = _NONE) -> Stored:
        found = await self._store.get(*_named(request)) if self._store.is_on else None
        if found is None:
            raise UnknownResponse(otherwise, param="id")
        return found


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["id"], request.scope["state"]["caller"].name
