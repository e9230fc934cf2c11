"""A clock that tests move by hand, with its timers."""

from collections.abc import Callable


class FakeTimer:
    """One call to come."""

    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeTimers:
    """Stands for asyncio's loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set = 0
        self._timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        self.set += 1
        timer = FakeTimer(self.now + delay, callback)
        self._timers.append(timer)
        return timer

    def pass_s(self, seconds: float) -> None:
        """Let time go by; whatever is due is called."""
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.call is not None and timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self.now = max(self.now, first.at)
            call, first.call = first.call, None
            assert call is not None
            call()
        self.now = end
