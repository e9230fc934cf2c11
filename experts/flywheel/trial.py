"""Watches a candidate that answers a share of the traffic, and may be looked at after every answer.

Every bad answer (an error, a broken form, a bad rating, one slower or dearer than most of the incumbent's) is
somebody's. If the candidate is no worse than tolerated, a bad answer is its own with at most a probability that follows
from its share; how often that fails to hold is a bet (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and
safe anytime-valid inference"). The bet's wealth passes `1 / alpha` with probability alpha at most, however long one
watches and whenever one looks, so the trial can be ended at the first answer that proves it worse.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

ALPHA: Final = 0.01
TOLERATED: Final = {"error": 1.25, "form": 1.25, "rating": 1.25, "slow": 1.5, "dear": 1.5}
"""By kind of bad answer: how many times the incumbent's rate is no matter."""
_TIMES_WORSE: Final = (1.3, 1.7, 2.5, 5.0, 15.0, 100.0)
_REMEMBERED: Final = 20_000  # conversations
_ENOUGH: Final = 50  # of the incumbent's answers, before one can be slower than most
_WINDOW: Final = 500
_SLOWER_THAN: Final = 0.9  # of them


class Bet:
    """One kind of bad answer.

    Attributes:
        canary: how many were the candidate's; likewise `incumbent`.
    """

    def __init__(self, tolerated: float) -> None:
        """`tolerated`: how many times as often as the incumbent's the candidate's answers may be bad."""
        self._tolerated = tolerated
        self._wealth = [1.0] * len(_TIMES_WORSE)
        self.canary = self.incumbent = 0

    @property
    def wealth(self) -> float:
        """The evidence that the candidate is worse: 1 where there is none; its chance of ever passing w is 1 / w."""
        return sum(self._wealth) / len(self._wealth)

    def bad(self, *, is_canary: bool, share: float) -> None:
        """Note a bad answer, while the candidate got this share (0 < share < 1) of the traffic."""
        expected = _part(self._tolerated, share)
        for place, times in enumerate(_TIMES_WORSE):
            claimed = _part(self._tolerated * times, share)
            self._wealth[place] *= claimed / expected if is_canary else (1.0 - claimed) / (1.0 - expected)
        self.canary += is_canary
        self.incumbent += not is_canary


def _part(times: float, share: float) -> float:
    """The part of all bad answers that are the candidate's, if its are so many times as frequent."""
    return times * share / (times * share + 1.0 - share)


@dataclass(frozen=True, slots=True)
class Breach:
    """Why a trial has ended: the kind of bad answers, how many there were on either side, and the evidence."""

    kind: str
    canary: int
    incumbent: int
    wealth: float

    def as_dict(self) -> dict[str, Any]:
        """Return the history's form."""
        return {
            "kind": self.kind,
            "bad_of_canary": self.canary,
            "bad_of_incumbent": self.incumbent,
            "wealth": round(self.wealth, 1),
        }


class Trial:
    """One candidate's.

    A conversation counts once for each kind of bad answer: its turns go the same way, so they are one draw.

    Attributes:
        breach: why it is over; None while it may go on.
        answers: the candidate's answers so far.
    """

    def __init__(self, alpha: float = ALPHA) -> None:
        self._threshold = len(TOLERATED) / alpha
        self._bets = {kind: Bet(tolerated) for kind, tolerated in TOLERATED.items()}
        self._usual = {"slow": _Usual(), "dear": _Usual()}
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self.breach: Breach | None = None
        self.answers = 0

    @property
    def wealth(self) -> dict[str, float]:
        """The evidence that the candidate is worse, by kind of bad answer; 1 where there is none."""
        return {kind: bet.wealth for kind, bet in self._bets.items()}

    def answered(self, origin: bytes, *, is_canary: bool, share: float, ttft_s: float, usd: float) -> None:
        """Note an answer that is whole; `origin` is its conversation."""
        self.answers += is_canary
        for kind, value in (("slow", ttft_s), ("dear", usd)):
            usual = self._usual[kind]
            if usual.is_exceeded_by(value):
                self.bad(kind, origin, is_canary=is_canary, share=share)
            if not is_canary:
                usual.add(value)

    def failed(self, origin: bytes, *, is_canary: bool, share: float) -> None:
        """Note an answer that failed."""
        self.answers += is_canary
        self.bad("error", origin, is_canary=is_canary, share=share)

    def bad(self, kind: str, origin: bytes, *, is_canary: bool, share: float) -> None:
        """Note a bad answer of a kind that `TOLERATED` has."""
        if self._is_repeated(kind, origin) or not 0.0 < share < 1.0:
            return
        bet = self._bets[kind]
        bet.bad(is_canary=is_canary, share=share)
        if self.breach is None and bet.wealth >= self._threshold:
            self.breach = Breach(kind, bet.canary, bet.incumbent, bet.wealth)

    def _is_repeated(self, kind: str, origin: bytes) -> bool:
        place = (kind, origin)
        if place in self._seen:
            return True
        self._seen[place] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False


class _Usual:
    """What the incumbent's latest answers take, as far as they were known before the next one came."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_WINDOW)
        self._unread = 0
        self._bound = math.inf

    def add(self, value: float) -> None:
        self._latest.append(value)
        self._unread += 1
        if self._unread == _ENOUGH:
            self._unread = 0
            self._bound = sorted(self._latest)[int(len(self._latest) * _SLOWER_THAN)]

    def is_exceeded_by(self, value: float) -> bool:
        return value > self._bound
