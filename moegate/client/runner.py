"""Asks, carries the calls of the answer out, shows the server what came of them, and asks again, a few times at most.

The server answers with words (then the run is over), with plain parallel calls, or with a plan, whose later calls refer
to the results of earlier ones. Calls begin while the rest of the answer still comes. After the last round the server
is asked for words alone (`tool_choice: none`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moegate.client.calls import Call, CallPieces, call_of
from moegate.client.cancel import Cancel
from moegate.client.execution import Execution, Observation
from moegate.client.server import Json, Server
from moegate.client.tools import Tool


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        text: the server's last words.
        messages: the whole conversation, these words included.
        rounds: what came of the calls, round by round.
        is_answered: the words are an answer; otherwise the deadline passed before there was one.
    """

    text: str
    messages: Sequence[Json]
    rounds: Sequence[Sequence[Observation]]
    is_answered: bool


@dataclass(slots=True)
class _Said:
    """One answer so far."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.calls:
            message["tool_calls"] = [call.message() for call in self.calls]
        return message


class Runner:
    """Runs requests with one set of tools at one server; may run several at once."""

    def __init__(
        self,
        server: Server,
        tools: Sequence[Tool],
        *,
        rounds: int = 4,
        deadline_s: float = 120.0,
        call_timeout_s: float | None = None,
        parallel: int = 16,
        **request: Any,  # noqa: ANN401  # any field of a request
    ) -> None:
        """Take what all runs share.

        Args:
            server: who is asked.
            tools: what may be called.
            rounds: answers with calls that are carried out; then words are asked for.
            deadline_s: seconds that a run may take in all.
            call_timeout_s: seconds that one call may take; None = as long as the run.
            parallel: calls of a run at once.
            **request: further fields of each request, such as `model`, or `plan=True` for moegate.
        """
        self._server = server
        self._tools = {tool.name: tool for tool in tools}
        self._rounds = rounds
        self._deadline_s = deadline_s
        self._call_timeout_s = call_timeout_s
        self._parallel = parallel
        self._request = {"model": "auto", **request}

    def run(self, asked: str | Sequence[Json], *, cancel: Cancel | None = None) -> Result:
        """Do as `run_async`, from a program without an event loop."""
        return asyncio.run(self.run_async(asked, cancel=cancel))

    async def run_async(self, asked: str | Sequence[Json], *, cancel: Cancel | None = None) -> Result:
        """Answer a question, or go on with a conversation.

        Raises:
            ServerError: the server failed.
            asyncio.CancelledError: the run was cancelled; what was under way has ended.
        """
        task = asyncio.create_task(self._run(asked))
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(task.cancel)

        if cancel is not None:
            cancel.watch(stop)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            if cancel is not None:
                cancel.forget(stop)

    async def _run(self, asked: str | Sequence[Json]) -> Result:
        ends_s = asyncio.get_running_loop().time() + self._deadline_s
        messages: list[Json] = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
        rounds: list[Sequence[Observation]] = []
        try:
            async with asyncio.timeout_at(ends_s):
                while True:
                    execution = self._execution(ends_s)
                    said = await self._ask(messages, execution, is_last=len(rounds) >= self._rounds)
                    messages.append(said.message())
                    if not said.calls:
                        return Result(said.text, messages, rounds, is_answered=True)
                    rounds.append(await execution.observations())
                    messages += [one.message() for one in rounds[-1]]
        except TimeoutError:
            return Result("", messages, rounds, is_answered=False)

    def _execution(self, ends_s: float) -> Execution:
        return Execution(self._tools, deadline_s=ends_s, parallel=self._parallel, call_timeout_s=self._call_timeout_s)

    async def _ask(self, messages: Sequence[Json], execution: Execution, *, is_last: bool) -> _Said:
        """Ask; begin each call as soon as it is whole."""
        request: dict[str, Any] = {**self._request, "messages": list(messages)}
        if self._tools:
            request["tools"] = [tool.described() for tool in self._tools.values()]
            request |= {"tool_choice": "none"} if is_last else {}
        said, pieces = _Said(), CallPieces()
        try:
            async for chunk in self._server.answer(request):
                for call in _take(chunk, said, pieces):
                    if not is_last:
                        said.calls.append(call)
                        execution.begin(call)
            for call in pieces.close():
                if not is_last:
                    said.calls.append(call)
                    execution.begin(call)
        except BaseException:
            await execution.stop()
            raise
        return said


def _take(chunk: Json, said: _Said, pieces: CallPieces) -> list[Call]:
    """Read a chunk, or a whole answer; return the calls that are complete now."""
    choices = chunk.get("choices") or [{}]
    whole = choices[0].get("message")
    if isinstance(whole, Mapping):
        said.text += whole.get("content") or ""
        return [call_of(at, raw) for at, raw in enumerate(whole.get("tool_calls") or (), start=1)]
    delta = choices[0].get("delta") or {}
    said.text += delta.get("content") or ""
    return pieces.push(delta.get("tool_calls") or ())
