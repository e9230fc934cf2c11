"""A budget for attempts beyond the first: a share of the traffic, so that retries cannot become a storm."""


class RetryBudget:
    """A purse that every request pays into and every further attempt (retry, fallback, hedge) is paid from."""

    def __init__(self, *, ratio: float, burst: float) -> None:
        """`ratio` further attempts per request in the long run, `burst` of them at once."""
        self._ratio = ratio
        self._burst = burst
        self.left = burst

    def earn(self) -> None:
        """A request has come."""
        self.left = min(self._burst, self.left + self._ratio)

    def spend(self) -> bool:
        """Ask for one more attempt; False when there have been too many."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
