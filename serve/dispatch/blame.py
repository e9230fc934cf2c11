"""Decides whether the request or the expert is to blame for a failure that a replica has reported.

A replica that answers INTERNAL may have met a request that no replica can serve, or may be ill. The next attempt
shows which. If another expert answers, the one that failed is to blame. If a second one fails on the same request, the
request is to blame, and no circuit counts it. So one client's requests cannot open circuits or fail at every expert.
"""

from serve.dispatch.circuit_breaker import Circuit


class Blame:
    """The failures that replicas have reported for one request."""

    def __init__(self, tenant: str) -> None:
        """`tenant` sent the request; it is a circuit's witness."""
        self._tenant = tenant
        self._failed: list[tuple[Circuit, float]] = []

    @property
    def is_the_requests(self) -> bool:
        """Whether a second replica or expert has failed on it."""
        return len(self._failed) > 1

    def add(self, circuit: Circuit, began_at: float) -> None:
        """Note a failure that a replica reported; `began_at` is when the attempt began, by our clock."""
        circuit.abandoned()
        self._failed.append((circuit, began_at))

    def is_the_experts(self) -> None:
        """Report the failures to the circuits, because another expert answered or none could be asked."""
        for circuit, began_at in self._failed:
            circuit.failed(began_at=began_at, witness=self._tenant)
        self._failed.clear()

    def is_proven(self) -> None:
        """Report that our own probe of the last expert failed as well."""
        circuit, _ = self._failed[-1]
        circuit.probed(is_well=False)
        self._failed.clear()
