"""Asks, carries the calls of the answer out, shows the server what came of them, and asks again, a few times at most.

The server answers with words (then the run is over), with plain parallel calls, or with a plan, whose later calls refer
to the results of earlier ones. Calls begin while the rest of the answer still comes. After the last round the server
is asked for words alone (`tool_choice: none`).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from moegate.client.calls import Call, CallPieces, call_of
from moegate.client.cancel import Cancel
from moegate.client.execution import MAX_RESULT_CHARS, Execution, Observation
from moegate.client.server import Json, Server, ServerError
from moegate.client.tools import Tool


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        text: the server's last words; empty where there is no answer.
        messages: the whole conversation, these words included; each call in it has its result.
        rounds: what came of the calls, round by round.
        is_answered: the words are an answer; otherwise the deadline passed before there was one.
    """

    text: str
    messages: Sequence[Json]
    rounds: Sequence[Sequence[Observation]]
    is_answered: bool


T = TypeVar("T")
_MISREAD: Final = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What reading something that is no answer raises."""


@dataclass(slots=True)
class _Said:
    """One answer so far."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)

    def add(self, call: Call) -> Call:
        """Add a call; one whose id an earlier one has gets another, lest their results are taken for each other's."""
        if any(call.id == earlier.id for earlier in self.calls):
            call = replace(call, id=f"{call.id}_{call.number}")
        self.calls.append(call)
        return call


@dataclass(slots=True)
class _Done:
    """What a run has done so far."""

    messages: list[Json]
    rounds: list[Sequence[Observation]] = field(default_factory=list)

    def add(self, said: _Said, observations: Sequence[Observation]) -> None:
        """Add an answer with calls, and what came of them."""
        self.rounds.append(observations)
        calls = [one.asked() for one in observations]
        self.messages.append({"role": "assistant", "content": said.text or None, "tool_calls": calls})
        self.messages += [one.message() for one in observations]

    @property
    def may_plan(self) -> bool:
        """Whether a plan is wanted: the first one, or another where something of the last one failed.

        Asked for a plan once more, a model plans what is done again.
        """
        return not self.rounds or not all(one.is_ok for one in self.rounds[-1])


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
        result_chars: int = MAX_RESULT_CHARS,
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
            result_chars: characters of a result that the model reads; later calls get it whole.
            **request: further fields of each request, such as `model`, or `plan=True` for moegate: it goes along until
                all calls of an answer have returned.

        Raises:
            ValueError: two tools have one name, or a number is out of its range.
        """
        self._server = server
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) < len(tools):
            raise ValueError("tools: two of them have one name")
        for name, value, least in (("rounds", rounds, 0), ("parallel", parallel, 1), ("result_chars", result_chars, 1)):
            if value < least:
                raise ValueError(f"{name} must be {least} at least")
        self._rounds = rounds
        self._deadline_s = deadline_s
        self._call_timeout_s = call_timeout_s
        self._parallel = parallel
        self._result_chars = result_chars
        self._request = {"model": "auto", **request}

    def run(self, asked: str | Sequence[Json], *, cancel: Cancel | None = None) -> Result:
        """Do as `run_async`, from a program without an event loop; raises as it does.

        Raises:
            RuntimeError: an event loop runs in this thread, as in a notebook.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run_async(asked, cancel=cancel))
        raise RuntimeError("an event loop runs in this thread: use `await runner.run_async(...)`")

    async def run_async(self, asked: str | Sequence[Json], *, cancel: Cancel | None = None) -> Result:
        """Answer a question, or go on with a conversation.

        Raises:
            ServerError: the server failed; it has what was done before.
            asyncio.CancelledError: the run was cancelled; what was under way has ended.
        """
        if cancel is not None and cancel.is_thrown:
            raise asyncio.CancelledError
        task = asyncio.create_task(self._run(asked))
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run has ended
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
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._deadline_s
        done = _Done([{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked))
        while loop.time() < ends_s:
            said, execution = _Said(), self._execution(ends_s)
            try:
                is_whole = await self._ask(done, said, execution, ends_s)
            except ServerError as error:
                if said.calls:
                    done.add(said, await execution.stop())
                error.messages, error.rounds = done.messages, done.rounds
                raise
            except BaseException:
                await execution.stop()
                raise
            if said.calls:
                done.add(said, await execution.observations())
            if not is_whole:
                break
            if not said.calls:
                done.messages.append({"role": "assistant", "content": said.text})
                return Result(said.text, done.messages, done.rounds, is_answered=True)
        return Result("", done.messages, done.rounds, is_answered=False)

    def _execution(self, ends_s: float) -> Execution:
        return Execution(
            self._tools,
            deadline_s=ends_s,
            parallel=self._parallel,
            call_timeout_s=self._call_timeout_s,
            result_chars=self._result_chars,
        )

    async def _ask(self, done: _Done, said: _Said, execution: Execution, ends_s: float) -> bool:
        """Ask; begin each call as soon as it is whole. Return whether the answer is, too, before the deadline.

        Raises:
            ServerError: the server failed, or its answer cannot be read.
        """
        is_last = len(done.rounds) >= self._rounds
        try:
            async with asyncio.timeout_at(ends_s) as limit:
                request = self._asked(done, is_last=is_last)
                async with _closing(self._calls(request, said)) as calls:
                    async for call in calls:
                        if not is_last:
                            execution.begin(said.add(call))
        except TimeoutError:
            if not limit.expired():
                raise ServerError("the server took too long") from None
            return False
        return True

    def _asked(self, done: _Done, *, is_last: bool) -> dict[str, Any]:
        request: dict[str, Any] = {**self._request, "messages": list(done.messages)}
        if is_last or not done.may_plan:
            request.pop("plan", None)
        if self._tools:
            request["tools"] = [tool.described() for tool in self._tools.values()]
            request |= {"tool_choice": "none"} if is_last else {}
        return request

    async def _calls(self, request: Json, said: _Said) -> AsyncIterator[Call]:
        """Yield the calls of an answer, each once it is whole; add its words to what was said."""
        pieces = CallPieces()
        async with _closing(self._server.answer(request)) as chunks:
            async for chunk in chunks:
                for call in _read(chunk, said, pieces):
                    yield call
        for call in pieces.close():
            yield call


@contextlib.asynccontextmanager
async def _closing(things: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a generator at the end; other iterators have nothing to close."""
    try:
        yield things
    finally:
        if isinstance(things, AsyncGenerator):
            await things.aclose()


def _read(chunk: Json, said: _Said, pieces: CallPieces) -> list[Call]:
    """Read a chunk, or a whole answer; return the calls that are complete now.

    Raises:
        ServerError: it is neither.
    """
    try:
        return _take(chunk, said, pieces)
    except _MISREAD as error:
        raise ServerError(f"the server's answer is none of chat completions ({type(error).__name__})") from error


def _take(chunk: Json, said: _Said, pieces: CallPieces) -> list[Call]:
    choices = chunk.get("choices") or ()
    choice: Json = next((one for one in choices if not one.get("index")), {})  # the first one, of several
    whole = choice.get("message")
    if isinstance(whole, Mapping):
        said.text += _words(whole.get("content"))
        return [call_of(at, raw) for at, raw in enumerate(whole.get("tool_calls") or (), start=1)]
    delta = choice.get("delta") or {}
    said.text += _words(delta.get("content"))
    return pieces.push(delta.get("tool_calls") or ())


def _words(content: object) -> str:
    """Return the words of a content; some servers send a list of parts."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "".join(part.get("text") or "" for part in content)
    return str(content or "")
