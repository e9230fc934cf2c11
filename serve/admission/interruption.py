"""Work that another task may interrupt: it is cancelled, and the cancellation becomes an error that gives the reason.

`ClientDisconnect` of `serve.doors.http_api.asgi` interrupts one answer when its client disconnects.
`serve.admission.drain.Drain` interrupts all answers when the grace period is over. Both use asyncio's own way
(https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.uncancel): cancel the task, and undo the cancellation
where it becomes an error, so that outer code does not take the task for cancelled.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager


class Interruption:
    """An event that interrupts the tasks that `watch` for it.

    Attributes:
        has_happened: it has; whoever comes to watch now is refused.
    """

    def __init__(self, error: Callable[[bool], Exception]) -> None:
        """`error` makes the exception with which a task ends; its argument says whether the work had begun."""
        self.has_happened = False
        self._error = error
        self._watching: dict[asyncio.Task[object], int] = {}  # with the cancellations that each brought along
        self._interrupted: set[asyncio.Task[object]] = set()

    def happen(self) -> None:
        """Interrupt the watching tasks; a task that is also cancelled by others stays cancelled."""
        self.has_happened = True
        for task in self._watching.keys() - self._interrupted:
            self._interrupted.add(task)
            task.cancel()

    def watch(self) -> AbstractContextManager[None]:
        """Watch the current task: the body of the `with` ends when the interruption happens.

        Raises:
            Exception: the interruption's error: it has happened, before or meanwhile.
        """
        return _Watch(self)

    def begin(self) -> asyncio.Task[object]:
        """Watch the current task from now on, until `end`."""
        if self.has_happened:
            raise self._error(False)
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task is not None  # both doors serve each request in a task
        self._watching[task] = task.cancelling()
        return task

    def end(self, task: asyncio.Task[object], error: BaseException | None) -> None:
        """Watch it no longer; an `error` that is our cancellation becomes the interruption's."""
        is_ours = self._take_back(task)
        del self._watching[task]
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise self._error(True) from None

    def _take_back(self, task: asyncio.Task[object]) -> bool:
        """Undo our cancellation, once; return whether it was the only one."""
        if task not in self._interrupted:
            return False
        self._interrupted.discard(task)
        return task.uncancel() <= self._watching[task]


class _Watch(AbstractContextManager[None]):
    """One task, watched. A class, because every request enters one: `contextmanager` takes several times as long."""

    __slots__ = ("_interruption", "_task")

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        self._task = self._interruption.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._interruption.end(self._task, error)
