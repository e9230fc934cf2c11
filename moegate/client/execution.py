"""The calls of one answer under way: each begins as soon as what it needs is there, beside the others.

A call that fails is an observation like any other: the model reads what went wrong. What depends on it is not carried
out, and says why. Once the deadline has passed, or the run was cancelled, what is under way ends and nothing begins.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from moegate.client.calls import Call, PlanError
from moegate.client.references import UnresolvedReference, resolve
from moegate.client.tools import Tool, ToolFailed
from moegate.client.values import NotJson, as_text

MAX_RESULT_CHARS: Final = 200_000
_MAX_TOLD_CHARS: Final = 2_000  # of a call's arguments, where a result stands in them


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a call.

    Attributes:
        call: the call.
        value: what the tool returned; None if there is an error.
        error: what went wrong, for the model; empty if nothing did.
        began_s: event loop's clock, seconds; likewise `ended_s`. Both are the end's where it never began.
        text: the value as the model reads it, as it was when the tool returned.
        arguments: what the tool was called with, serialised: references are replaced by what they stood for. Empty
            where it depends on no call, was not called, or where that would be too long to be told again.
    """

    call: Call
    value: Any
    error: str
    began_s: float
    ended_s: float
    text: str = ""
    arguments: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the tool returned."""
        return not self.error

    def asked(self) -> dict[str, Any]:
        """Return the call as an assistant's message holds it, with what it was carried out with.

        The next answer counts its own calls from 1: what `$1` meant in this one, nobody could tell.
        """
        return replace(self.call, arguments=self.arguments or self.call.arguments).message()

    def message(self) -> dict[str, str]:
        """Return it as the message that answers the call."""
        content = as_text({"error": self.error}) if self.error else self.text
        return {"role": "tool", "tool_call_id": self.call.id, "content": content}


class Execution:
    """The calls of one answer."""

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        deadline_s: float,
        parallel: int,
        call_timeout_s: float | None,
        result_chars: int = MAX_RESULT_CHARS,
    ) -> None:
        """Take the tools by name.

        Args:
            tools: by name.
            deadline_s: when all must be over, event loop's clock.
            parallel: calls at once.
            call_timeout_s: the longest that one call may take; None = until the deadline.
            result_chars: characters of a result that the model reads.
        """
        self._tools = tools
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(parallel)
        self._call_timeout_s = call_timeout_s
        self._result_chars = result_chars
        self._calls: dict[int, tuple[Call, asyncio.Task[Observation]]] = {}

    def begin(self, call: Call) -> None:
        """Carry a call out as soon as what it needs is there."""
        needed = [self._calls[number][1] for number in call.depends_on if number in self._calls]
        self._calls[call.number] = call, asyncio.create_task(self._observe(call, needed))

    async def observations(self) -> list[Observation]:
        """Wait for all calls that have begun; in their order."""
        try:
            return list(await asyncio.gather(*(task for _, task in self._calls.values())))
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> list[Observation]:
        """End what is under way; return what came of all calls that have begun."""
        tasks = [task for _, task in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        now = asyncio.get_running_loop().time()
        return [
            Observation(call, None, "ended before it had returned", now, now) if task.cancelled() else task.result()
            for call, task in self._calls.values()
        ]

    async def _observe(self, call: Call, needed: Sequence[asyncio.Task[Observation]]) -> Observation:
        loop = asyncio.get_running_loop()
        earlier = [await asyncio.shield(task) for task in needed]
        began_s = loop.time()
        told = ""
        try:
            async with self._slots:
                began_s = loop.time()
                tool, arguments = self._tool(call), _arguments(call, earlier)
                told = _told(arguments) if earlier else ""
                value = await self._carry_out(tool, arguments)
            text = _cut(as_text(value), self._result_chars)
        except (PlanError, ToolFailed, NotJson) as error:
            return Observation(call, None, str(error), began_s, loop.time(), arguments=told)
        return Observation(call, value, "", began_s, loop.time(), text, told)

    def _tool(self, call: Call) -> Tool:
        """Find the tool.

        Raises:
            PlanError: there is none.
        """
        if call.name not in self._tools:
            raise PlanError(f"there is no tool {call.name!r}")
        return self._tools[call.name]

    async def _carry_out(self, tool: Tool, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Call the tool.

        Raises:
            PlanError: there was no time left, or it took too long.
            ToolFailed: its function raised.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._deadline_s:
            raise PlanError("not carried out: there was no time left")
        most_s = self._call_timeout_s
        try:
            async with asyncio.timeout_at(
                self._deadline_s if most_s is None else min(self._deadline_s, now_s + most_s)
            ):
                return await tool.call(arguments)
        except TimeoutError:
            raise PlanError("it took too long") from None


def _arguments(call: Call, earlier: Sequence[Observation]) -> dict[str, Any]:
    """Put the results of earlier calls into a call's arguments.

    Raises:
        PlanError: one of them failed, or lacks what is asked of it.
        NotJson: one cannot be put in.
    """
    arguments = call.read()
    failed = [one.call.number for one in earlier if not one.is_ok]
    if failed:
        raise PlanError(f"not carried out: call {failed[0]} failed")
    results = {one.call.number: one.value for one in earlier}
    try:
        return {key: resolve(value, results, results.keys()) for key, value in arguments.items()}
    except UnresolvedReference as error:
        raise PlanError(str(error)) from None
    except NotJson:
        raise
    except Exception as error:  # the edge of somebody's object: reading a field of it may raise anything
        raise PlanError(f"a result cannot be read ({type(error).__name__})") from error


def _told(arguments: Mapping[str, Any]) -> str:
    """Write what a tool is called with; nothing where that is too long to be told again, or no JSON."""
    try:
        text = as_text(arguments)
    except NotJson:
        return ""
    return text if len(text) <= _MAX_TOLD_CHARS else ""


def _cut(text: str, most: int) -> str:
    """Shorten what is too long for a model; it is told so."""
    return text if len(text) <= most else f"{text[:most]} [cut: {most} of {len(text)} characters]"
