"""The order in which waiting requests enter: by priority, and within a priority by turns among tenants.

`serve.admission.permits` has one. A tenant that sends a thousand requests delays only itself: another tenant's first
request is the next but one. Interactive requests go before batch ones, but every eighth turn is a batch request's, so
that none starves.
"""

from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

from serve.request import Priority

_BATCH_EVERY: Final = 8

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue of waiting items. The cost of putting in and taking out does not depend on their number."""

    def __init__(self) -> None:
        self._classes: dict[Priority, OrderedDict[str, deque[T]]] = {kind: OrderedDict() for kind in Priority}
        self._turn = 0
        self._len = 0

    def __len__(self) -> int:
        return self._len

    def push(self, item: T, priority: Priority, tenant: str) -> None:
        """Put an item at the end of its tenant's line."""
        self._classes[priority].setdefault(tenant, deque()).append(item)
        self._len += 1

    def pop(self) -> T:
        """Take the next item.

        Raises:
            IndexError: nobody waits.
        """
        self._turn += 1
        lines = self._next_class()
        if not lines:
            raise IndexError("the queue is empty")
        tenant, line = next(iter(lines.items()))
        item = line.popleft()
        del lines[tenant]
        if line:
            lines[tenant] = line  # at the end: the others' turn
        self._len -= 1
        return item

    def remove(self, item: T, priority: Priority, tenant: str) -> bool:
        """Remove an item that gives up; False if it is no longer there."""
        lines = self._classes[priority]
        line = lines.get(tenant)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del lines[tenant]
        self._len -= 1
        return True

    def newest(self, priority: Priority) -> T | None:
        """The newest item of the tenant that has the most items waiting in a priority."""
        longest = max(self._classes[priority].values(), key=len, default=None)
        return longest[-1] if longest else None

    def _next_class(self) -> OrderedDict[str, deque[T]]:
        interactive, batch = self._classes[Priority.INTERACTIVE], self._classes[Priority.BATCH]
        is_batchs_turn = self._turn % _BATCH_EVERY == 0
        return batch if batch and (is_batchs_turn or not interactive) else interactive
