"""The HTTP door's `POST /v1/feedback`: a rating of an answer."""

from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from serve.doors.http_api.asgi import JSON, Reply, answering, read_json_body
from serve.doors.json_body import parse
from serve.feedback.store import LONGEST_COMMENT, LONGEST_CORRECTION, Feedback, FeedbackBook
from serve.settings.tree import Settings

_MAX_BYTES: Final = 64 * 1024


class FeedbackBody(BaseModel):
    """The body."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    response_id: str = Field(description="The `id` of the answer")
    rating: float = Field(description="-1 (useless) to 1 (just right)", ge=-1, le=1)
    better_expert: str | None = Field(None, description="Who should have answered")
    comment: str | None = Field(None, max_length=LONGEST_COMMENT, description="Stored; never in metrics or logs")
    correction: str | None = Field(
        None,
        max_length=LONGEST_CORRECTION,
        description="What the answer should have been; stored redacted, for learning",
    )


class FeedbackEndpoint:
    """Answers it."""

    def __init__(self, book: FeedbackBook, settings: Settings) -> None:
        self._book = book
        self._max_bytes = min(settings.http.max_body_bytes, _MAX_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reply = Reply(send)
        async with answering(reply):
            body = parse(FeedbackBody, await read_json_body(scope, receive, self._max_bytes))
            opinion = Feedback(**body.model_dump())
            is_known = await self._book.take(opinion, scope["state"]["caller"])
            await reply.whole(200, [JSON], orjson.dumps({"object": "feedback", "known": is_known}))
