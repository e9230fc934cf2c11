"""A router's candidate decides beside the one that serves, or for a share of the conversations, and harms nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from experts.flywheel.history import CANARY, SHADOW, Change
from router.decision import Candidate, Reason, RouteDecision
from router.features.featurize import RouteQuery, Turn
from serve.routing.trial_router import OnTrial, TrialRouter

EXPERTS = ("coder", "advisor")


class Fixed:
    """A router that always has the same opinion, or explores between both."""

    def __init__(self, name: str, choice: str, explores: float = 0.0) -> None:
        self.version = name
        self.asked = 0
        self._choice = choice
        self._explores = explores

    def route(self, query: Any, states: Any, pinned: str | None = None, preferences: Any = None) -> RouteDecision:
        self.asked += 1
        if self._choice == "broken":
            raise ZeroDivisionError
        if pinned is not None:
            return RouteDecision((Candidate(pinned, 1.0),), Reason.PINNED, 1.0, self.version, 0.0)
        other = next(name for name in EXPERTS if name != self._choice)
        ranking = (Candidate(self._choice, 0.9), Candidate(other, 0.1))
        if not self._explores:
            return RouteDecision(ranking, Reason.CLASSIFIED, 0.9, self.version, 0.0)
        chances = {self._choice: 1 - self._explores, other: self._explores}
        first = self._choice if self.asked % 2 else other  # drawn; which way does not matter here
        ranking = ranking if first == self._choice else ranking[::-1]
        return RouteDecision(ranking, Reason.CLASSIFIED, 0.9, self.version, 0.0, chances[first], chances)


Seen = list[tuple[str, str]]


def trial(
    serving: Fixed, candidate: Fixed, event: str, share: float
) -> tuple[Callable[..., RouteDecision], Seen, list[bytes]]:
    seen, faults = Seen(), list[bytes]()
    router = TrialRouter(
        serving,  # type: ignore[arg-type]
        lambda on, ours, theirs: seen.append((ours, theirs)),
        lambda on, origin: faults.append(origin),
    )
    stage = Change(event, "d", "now", "jo", "", share)
    router.on_trial = OnTrial(candidate, stage, "stamp")  # type: ignore[arg-type]

    def ask(words: str, *later: str, system: str = "Be brief.", pinned: str | None = None) -> RouteDecision:
        said = [Turn("assistant" if at % 2 == 0 else "user", text) for at, text in enumerate(later)]
        return router.route(RouteQuery((Turn("system", system), Turn("user", words), *said)), (), pinned)

    return ask, seen, faults


def test_unseen_it_decides_nothing_and_is_compared() -> None:
    candidate = Fixed("new", "advisor")
    ask, seen, _ = trial(Fixed("old", "coder"), candidate, SHADOW, 1.0)
    decision = ask("Hi")
    assert (decision.expert, decision.router_version, decision.propensity, decision.chances) == (
        "coder",
        "old",
        1,
        None,
    )
    assert seen == [("coder", "advisor")]
    assert ask("Hi", pinned="advisor").expert == "advisor"
    assert candidate.asked == 1, "who is named is nobody's decision"


async def test_unseen_it_decides_after_the_request_has_gone_on() -> None:
    candidate = Fixed("new", "coder")
    ask, seen, _ = trial(Fixed("old", "coder"), candidate, SHADOW, 1.0)
    ask("Hi")
    assert candidate.asked == 0
    await asyncio.sleep(0)
    assert seen == [("coder", "coder")]


def test_unseen_exploration_is_no_difference_of_opinion() -> None:
    ask, seen, _ = trial(Fixed("old", "coder", 0.2), Fixed("new", "coder", 0.2), SHADOW, 1.0)
    chosen = {ask(f"Question {number}").expert for number in range(10)}
    assert chosen == {"coder", "advisor"}
    assert set(seen) == {("coder", "coder")}


def test_a_share_is_drawn_by_conversation() -> None:
    candidate = Fixed("new", "advisor")
    ask, _, _ = trial(Fixed("old", "coder"), candidate, CANARY, 0.25)
    drawn = Counter(ask(f"Question {number}").router_version for number in range(2000))
    assert 400 < drawn["new"] < 600
    for number in range(50):
        first = ask(f"Question {number}")
        later = ask(f"Question {number}", "An answer.", "And then?", "Another.", "Thanks.")
        assert later.router_version == first.router_version
        assert first.expert == ("advisor" if first.router_version == "new" else "coder")
    by_system = {ask("Question 1", system=f"{number}").router_version for number in range(50)}
    assert by_system == {"old", "new"}


def test_the_propensity_is_what_both_together_would_have_done() -> None:
    ask, _, _ = trial(Fixed("old", "coder", 0.2), Fixed("new", "advisor", 0.1), CANARY, 0.25)
    # coder: .75 x .8 + .25 x .1; advisor: .75 x .2 + .25 x .9
    chances = {"coder": 0.625, "advisor": 0.375}
    for number in range(50):
        decision = ask(f"Question {number}")
        assert decision.chances == pytest.approx(chances)
        assert decision.propensity == pytest.approx(chances[decision.expert])
    agreed, _, _ = trial(Fixed("old", "coder"), Fixed("new", "coder"), CANARY, 0.25)
    assert agreed("Hi").propensity == 1.0


def test_one_that_cannot_decide_costs_nobody_anything() -> None:
    ask, seen, faults = trial(Fixed("old", "coder"), Fixed("new", "broken"), CANARY, 0.5)
    decision = ask("Hi")
    assert (decision.expert, decision.router_version, decision.chances) == ("coder", "old", None)
    assert len(faults) == 1
    ask, seen, faults = trial(Fixed("old", "coder"), Fixed("new", "broken"), SHADOW, 1.0)
    assert ask("Hi").expert == "coder"
    assert (seen, faults) == ([("coder", "")], [])
