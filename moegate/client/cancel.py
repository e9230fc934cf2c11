"""A switch that ends a run from any thread."""

import threading
from collections.abc import Callable


class Cancel:
    """Ends the runs that it was given to, now or, once thrown, at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_thrown = False
        self._actions: list[Callable[[], object]] = []

    @property
    def is_thrown(self) -> bool:
        """Whether it was thrown."""
        return self._is_thrown

    def throw(self) -> None:
        """End every run; again does nothing."""
        with self._lock:
            actions, self._actions, self._is_thrown = self._actions, [], True
        for action in actions:
            action()

    def watch(self, action: Callable[[], object]) -> None:
        """Do `action` when it is thrown, in the thread that throws it; at once if it was."""
        with self._lock:
            if not self._is_thrown:
                self._actions.append(action)
                return
        action()

    def forget(self, action: Callable[[], object]) -> None:
        """Take an action back."""
        with self._lock:
            if action in self._actions:
                self._actions.remove(action)
