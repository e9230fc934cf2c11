"""`POST /v1/guard`: what the guard's rules make of a text. For operators' keys alone: it tells how to get past them."""

from typing import Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from serve.access.keys import KeyRing
from serve.doors.http_api.asgi import JSON, Reply, answering, read_json_body
from serve.doors.json_body import parse
from serve.errors import InvalidRequest
from serve.settings.tree import Settings
from serve.steps.guard.examine import NoRule, examined
from serve.steps.guard.in_force import GuardRules
from serve.steps.guard.rules import Stage

PATH: Final = "/v1/guard"


class GuardBody(BaseModel):
    """The body."""

    model_config = ConfigDict(strict=True, extra="forbid")

    text: str = Field(description="What to look at; kept nowhere", max_length=100_000)
    stage: Literal["input", "documents", "output"] = Field("input", description="Whose words they are")


class GuardEndpoint:
    """Answers it."""

    def __init__(self, guard: GuardRules | None, keys: KeyRing, settings: Settings) -> None:
        """`guard`: the rules in force; None where there are none."""
        self._guard = guard
        self._keys = keys
        self._max_bytes = settings.http.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reply = Reply(send)
        async with answering(reply):
            self._keys.check_operator(scope["state"]["caller"], "the guard answers")
            body = parse(GuardBody, await read_json_body(scope, receive, self._max_bytes))
            await reply.whole(200, [JSON], await self._answer(body))

    async def _answer(self, body: GuardBody) -> bytes:
        if self._guard is None:
            raise InvalidRequest("there are no rules: set guard.rules")
        try:
            told = await examined(body.text, self._guard.current, Stage(body.stage))
        except NoRule as error:
            raise InvalidRequest(str(error), param="stage") from None
        return orjson.dumps({"object": "guard.examination", **told})
