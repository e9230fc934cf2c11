"""A server that answers by script, and a clock that jumps to whatever is waited for next."""

import asyncio
import json
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any


class Jump(selectors.SelectSelector):
    """Waits for nothing: the loop's clock moves on instead."""

    def __init__(self, loop_clock: list[float]) -> None:
        super().__init__()
        self._clock = loop_clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self._clock[0] += timeout
        return ready


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, float]:
    """Run a coroutine on a loop whose sleeps take no time; return its result and the seconds it would have taken."""
    clock = [0.0]
    loop = asyncio.SelectorEventLoop(Jump(clock))
    loop.time = lambda: clock[0]  # type: ignore[method-assign]  # the loop's own seam: "should be overridden in tests"
    try:
        return loop.run_until_complete(work()), clock[0]
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def call(name: str, arguments: Mapping[str, Any] | str = "{}", depends_on: list[int] | None = None) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    raw: dict[str, Any] = {"function": {"name": name, "arguments": text}}
    return raw if depends_on is None else {**raw, "depends_on": depends_on}


class Scripted:
    """Plays one answer after the other; keeps what it was asked."""

    def __init__(self, *answers: str | Sequence[Mapping[str, Any]], whole: bool = False, pause_s: float = 0.0) -> None:
        self._answers = list(answers)
        self._whole = whole
        self._pause_s = pause_s
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(dict(request))
        said = self._answers.pop(0)
        calls = [] if isinstance(said, str) else [{"id": f"c{n}", **raw} for n, raw in enumerate(said)]
        text = said if isinstance(said, str) else ""
        if self._whole:
            yield {"choices": [{"message": {"content": text, "tool_calls": calls}}]}
            return
        for word in text.split(" "):
            yield {"choices": [{"delta": {"content": f"{word} "}}]}
        for at, raw in enumerate(calls):
            await asyncio.sleep(self._pause_s)
            function = raw["function"]
            half = len(function["arguments"]) // 2
            head = {
                **raw,
                "index": at,
                "function": {"name": function["name"], "arguments": function["arguments"][:half]},
            }
            yield {"choices": [{"delta": {"tool_calls": [head]}}]}
            rest = {"index": at, "function": {"arguments": function["arguments"][half:]}}
            yield {"choices": [{"delta": {"tool_calls": [rest]}}]}
        yield {"choices": []}  # usage
