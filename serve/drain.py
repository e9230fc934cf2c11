"""The end of a gateway's service: open requests finish within the grace; what is left then ends with a clear error.

`serve.gateway` holds every request in a `watch`; `serve.app` calls `end_all` when the grace has passed. Both doors then
render `ShuttingDown`: as a status before the first token, as the stream's last event after it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from serve.errors import ShuttingDown


class Drain:
    """The requests in progress.

    Attributes:
        is_over: no request is taken on any more.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Hold a request, from its receipt to its end.

        Raises:
            ShuttingDown: the grace has passed.
        """
        if self.is_over:
            raise ShuttingDown("the gateway is shutting down")
        task = asyncio.current_task()
        assert task is not None  # both doors serve each request in a task
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise ShuttingDown("the gateway shut down before the answer was complete") from None
        finally:
            self._tasks.discard(task)
            self._ended.discard(task)

    def end_all(self) -> None:
        """Interrupt what is still in progress; take on nothing more."""
        self.is_over = True
        self._ended |= self._tasks
        for task in self._ended:
            task.cancel()
