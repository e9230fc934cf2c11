"""Whether a request may be sent once more: to the same expert, to the next one, or to two at once.

`serve.dispatch.dispatcher` asks before each attempt beyond the first. Each attempt is paid from a budget to which
every request contributes. Requests on which replicas report a failure have a separate budget, so that requests that
nobody can serve do not use up the others' budget.
"""

from experts.catalog.spec import Catalog
from serve.dispatch.attempt import FailedAttempt, Why
from serve.dispatch.retry_budget import RetryBudget
from serve.errors import ContextLengthExceeded, ExpertUnavailable, Overloaded
from serve.settings.tree import DispatchSettings
from serve.telemetry.metrics.dispatch import DispatchMetrics


class FurtherAttempts:
    """The rules, and the budgets."""

    def __init__(self, catalog: Catalog, settings: DispatchSettings, metrics: DispatchMetrics) -> None:
        self._catalog = catalog
        self._retries = settings.retries
        self._metrics = metrics
        self._budget = RetryBudget(ratio=settings.retry_ratio, burst=settings.retry_burst)
        self._second_looks = RetryBudget(ratio=settings.retry_ratio, burst=settings.retry_burst)

    def earn(self) -> None:
        """Count a new request."""
        self._budget.earn()
        self._second_looks.earn()

    def may_retry(self, failed: FailedAttempt, rest: list[str], retries: int) -> bool:
        """Whether the same expert is asked again: it was lost silently, or no other expert can show who is to blame."""
        if retries >= self._retries:
            return False
        if failed.why is Why.FAILED:
            return not rest and self._spend(self._second_looks)
        return failed.why is Why.BROKE and self._spend(self._budget)

    def may_fall_back(self, failed: FailedAttempt, expert: str, rest: list[str]) -> bool:
        """Whether the next expert is asked."""
        if not rest:
            return False
        if failed.why is Why.NOT_ASKED:
            return True  # it has cost nothing
        if isinstance(failed.error, ContextLengthExceeded):
            return self._window(rest[0]) > self._window(expert)
        if failed.why is Why.FAILED:
            return self._spend(self._second_looks)
        return isinstance(failed.error, Overloaded | ExpertUnavailable) and self._spend(self._budget)

    def may_hedge(self, expert: str, to: str) -> bool:
        """Whether the budget allows for a second expert beside a slow first one."""
        if not self._spend(self._budget):
            return False
        self._metrics.hedges.labels(expert, to).inc()
        return True

    def _spend(self, budget: RetryBudget) -> bool:
        if budget.spend():
            return True
        self._metrics.refused_attempts.inc()
        return False

    def _window(self, expert: str) -> int:
        spec = self._catalog.get(expert)
        return spec.prompt_limit if spec else 0
