"""The work of attempts that did not become the answer, kept until the reason is known.

`serve.dispatch.dispatcher` opens one `WastedWork` for each round of attempts (one, or two with hedging). It tells
the follower of the request, which is the request's record; the ledger and the log get it from there. Only what an
expert has reported counts: the prompt once the engine has begun to read it, and the tokens that have come.
"""

from typing import Protocol

from router.decision import RouteDecision
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work


class Follower(Protocol):
    """Is told what becomes of a request's attempts."""

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        ...

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """`expert` has said before its first token that no tool fits; `decision` is what the words alone ask for."""
        ...

    def lost(self, expert: str, waste: Waste, work: Work) -> None:
        """An attempt that did not become the answer has ended after so much work."""
        ...


class WastedWork:
    """The attempts of one round that did not become the answer."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._works: list[tuple[str, Work]] = []

    def add(self, expert: str, work: Work) -> None:
        """Note an ended attempt; if no engine has begun on it, it costs nothing."""
        if work != Work():
            self._works.append((expert, work))

    def settle(self, cause: Waste) -> None:
        """End the round, with the reason why its attempts did not become the answer."""
        for expert, work in self._works:
            self._follower.lost(expert, cause, work)
        self._works.clear()
