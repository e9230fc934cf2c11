"""The calls of one answer under way: each begins as soon as what it needs is there, beside the others.

A call that fails is an observation like any other: the model reads what went wrong. What depends on it is not carried
out, and says why. Once the deadline has passed, or the run was cancelled, what is under way ends and nothing begins.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moegate.client.calls import Call, PlanError
from moegate.client.references import UnresolvedReference, resolve
from moegate.client.tools import Tool

MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a call.

    Attributes:
        call: the call.
        value: what the tool returned; None if there is an error.
        error: what went wrong, for the model; empty if nothing did.
        began_s: event loop's clock, seconds; likewise `ended_s`. Both are the end's where it never began.
    """

    call: Call
    value: Any
    error: str
    began_s: float
    ended_s: float

    @property
    def is_ok(self) -> bool:
        """Whether the tool returned."""
        return not self.error

    def message(self) -> dict[str, str]:
        """Return it as the message that answers the call."""
        content = json.dumps({"error": self.error}) if self.error else as_text(self.value)
        return {"role": "tool", "tool_call_id": self.call.id, "content": content}


class Execution:
    """The calls of one answer."""

    def __init__(
        self, tools: Mapping[str, Tool], *, deadline_s: float, parallel: int, call_timeout_s: float | None
    ) -> None:
        """Take the tools by name.

        Args:
            tools: by name.
            deadline_s: when all must be over, event loop's clock.
            parallel: calls at once.
            call_timeout_s: the longest that one call may take; None = until the deadline.
        """
        self._tools = tools
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(parallel)
        self._call_timeout_s = call_timeout_s
        self._tasks: dict[int, asyncio.Task[Observation]] = {}

    def begin(self, call: Call) -> None:
        """Carry a call out as soon as what it needs is there."""
        needed = [self._tasks[number] for number in call.depends_on if number in self._tasks]
        self._tasks[call.number] = asyncio.create_task(self._observe(call, needed))

    async def observations(self) -> list[Observation]:
        """Wait for all calls that have begun; in their order."""
        try:
            return list(await asyncio.gather(*self._tasks.values()))
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _observe(self, call: Call, needed: Sequence[asyncio.Task[Observation]]) -> Observation:
        loop = asyncio.get_running_loop()
        earlier = [await asyncio.shield(task) for task in needed]
        began_s = loop.time()
        try:
            async with self._slots:
                began_s = loop.time()
                value = await self._carry_out(call, earlier)
        except PlanError as error:
            return Observation(call, None, str(error), began_s, loop.time())
        return Observation(call, value, "", began_s, loop.time())

    async def _carry_out(self, call: Call, earlier: Sequence[Observation]) -> Any:  # noqa: ANN401
        """Call the tool.

        Raises:
            PlanError: it cannot be called, it failed, or it took too long.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            raise PlanError(f"there is no tool {call.name!r}")
        arguments = _arguments(call, earlier)
        left_s = self._deadline_s - asyncio.get_running_loop().time()
        limit_s = left_s if self._call_timeout_s is None else min(left_s, self._call_timeout_s)
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                return await tool.call(arguments)
        except TimeoutError:
            raise PlanError("it took too long") from None
        except Exception as error:  # the edge of somebody's function: the model reads what went wrong
            raise PlanError(f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS]) from error


def _arguments(call: Call, earlier: Sequence[Observation]) -> dict[str, Any]:
    """Put the results of earlier calls into a call's arguments.

    Raises:
        PlanError: one of them failed, or lacks what is asked of it.
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


def as_text(value: object) -> str:
    """Write a result for the model."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
