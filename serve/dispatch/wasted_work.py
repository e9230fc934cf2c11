"""What attempts cost that came to nothing: work, kept until it is known why nobody has any use for it.

`serve.dispatch.dispatcher` opens one `Losses` for each round of attempts, one or a hedged two; whoever follows the
request is told (the request's record: ledger and log have it from there). Only what an expert has told is counted: its
prompt from when the engine has begun on it, the tokens that have come.
"""

from typing import Protocol

from router.decision import RouteDecision
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work


class Follower(Protocol):
    """Who is told what becomes of a request's attempts."""

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        ...

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """`expert` has said before its first token that no tool fits; `decision` is what the words alone ask for."""
        ...

    def lost(self, expert: str, waste: Waste, work: Work) -> None:
        """An attempt beside the answer came to nothing after so much work."""
        ...


class Losses:
    """The attempts of one round that are not the answer."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._works: list[tuple[str, Work]] = []

    def add(self, expert: str, work: Work) -> None:
        """An attempt has ended; one that no engine has begun on costs nothing."""
        if work != Work():
            self._works.append((expert, work))

    def settle(self, cause: Waste) -> None:
        """The round is over, and this is why they came to nothing."""
        for expert, work in self._works:
            self._follower.lost(expert, cause, work)
        self._works.clear()
