"""A budget for attempts beyond the first: a share of the traffic, so that retries cannot become a storm."""


class RetryBudget:
    """A budget to which every request contributes, and from which every further attempt is paid."""

    def __init__(self, *, ratio: float, burst: float) -> None:
        """`ratio` further attempts per request in the long run, `burst` of them at once."""
        self._ratio = ratio
        self._burst = burst
        self.left = burst

    def earn(self) -> None:
        """Count a new request."""
        self.left = min(self._burst, self.left + self._ratio)

    def spend(self) -> bool:
        """Ask for one more attempt; False if there have been too many."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
