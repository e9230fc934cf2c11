"""Several answers to one request, side by side: each goes through the whole of the core as a request of its own.

So each is admitted, routed, metered and recorded, and steps see it. They share the client's connection, deadline and
headers. Where one fails, all end, as one answer would.
"""

import asyncio
from collections.abc import Sequence

from serve.doors.collect import CollectedAnswer, collect
from serve.doors.http_api.answer_headers import cost_header, routing_headers
from serve.doors.http_api.asgi import EVENT_STREAM, JSON, Header, Reply
from serve.doors.wire_form import Choices, ChoicesPresenter
from serve.errors import MoegateError
from serve.gateway import Gateway
from serve.request import ChatRequest
from serve.steps.answer import Answer, End


async def answer_choices(gateway: Gateway, requests: Sequence[ChatRequest], choices: Choices, reply: Reply) -> None:
    """Answer all requests, the first of which is the client's own.

    Raises:
        MoegateError: one of them could not be answered; the others have ended.
    """
    side = _SideBySide(gateway, requests, choices, reply)
    answer_one = side.stream if requests[0].is_stream else side.collect
    try:
        async with asyncio.TaskGroup() as group:
            for index in range(len(requests)):
                group.create_task(answer_one(index))
    except BaseExceptionGroup as failed:
        raise _cause(failed) from None
    await side.close()


class _SideBySide:
    """The answers under way; `ends` and `answers` are by index."""

    def __init__(self, gateway: Gateway, requests: Sequence[ChatRequest], choices: Choices, reply: Reply) -> None:
        self._gateway = gateway
        self._requests = requests
        self._choices = choices
        self._reply = reply
        self._writing = asyncio.Lock()  # one message to the client after the other
        self._presenter: ChoicesPresenter | None = None
        self._headers: list[Header] = []
        self._ends: dict[int, End] = {}
        self._answers: dict[int, CollectedAnswer] = {}

    async def stream(self, index: int) -> None:
        """Send one answer's tokens as they come."""
        async with self._gateway.generate(self._requests[index]) as answer:
            presenter = await self._begin(answer)
            async for chunk in answer.chunks():
                await self._write(presenter.piece(index, chunk))
            self._ends[index] = answer.end
            await self._write(presenter.ended(index, answer.end))

    async def collect(self, index: int) -> None:
        """Read one answer to its end."""
        async with self._gateway.generate(self._requests[index]) as answer:
            self._present(answer)
            self._answers[index] = await collect(answer)
            self._ends[index] = answer.end

    async def close(self) -> None:
        """Send what comes once all are whole."""
        assert self._presenter is not None  # each answer has had a first token
        ends = [self._ends[index] for index in range(len(self._requests))]
        if self._reply.has_begun:
            await self._reply.write(self._presenter.closing(ends), is_last=True)
            return
        headers = [JSON, *self._headers, cost_header(sum(end.cost_usd for end in ends))]
        answers = [self._answers[index] for index in range(len(self._requests))]
        await self._reply.whole(200, headers, self._presenter.whole(answers, ends))

    def _present(self, answer: Answer) -> ChoicesPresenter:
        """Return the presenter; the first answer that has a token gives its head and the headers."""
        if self._presenter is None:
            self._presenter = self._choices.present(self._requests[0], answer)
            self._headers = routing_headers(answer)
        return self._presenter

    async def _begin(self, answer: Answer) -> ChoicesPresenter:
        async with self._writing:
            presenter = self._present(answer)
            if not self._reply.has_begun:
                await self._reply.begin(200, [*EVENT_STREAM, *self._headers])
                self._reply.on_failure(presenter.failed)
        return presenter

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            await self._reply.write(data)


def _cause(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return why they ended: what a client can be told, where there is such an error."""
    leaves = [error for error in failed.exceptions if isinstance(error, MoegateError)]
    return leaves[0] if leaves else failed.exceptions[0]
