"""Compares what a candidate has answered unseen (shadow) with what the users got, on the same requests.

Whether an answer came and is valid by its own request (`validity`) is judged, pair by pair, as any other comparison
(`verdict`). What it took (tokens, time, USD), and how often it says the same as an answer that was liked, is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from experts.flywheel.interaction import Interaction
from experts.flywheel.validity import fault
from experts.flywheel.verdict import Judgement, Rules, judge

GOAL: Final = "valid"


@dataclass(frozen=True, slots=True)
class Pair:
    """A request's answer, and the candidate's own."""

    given: Interaction
    unseen: Interaction

    @property
    def has_failed(self) -> bool:
        """Whether the candidate has none."""
        return bool(self.unseen.record["moegate"]["error"])


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a comparison."""

    judgement: Judgement
    facts: Mapping[str, Any]

    @property
    def n(self) -> int:
        """How many pairs."""
        return self.judgement.findings[0].n

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest's form."""
        return {**self.judgement.as_dict(), **self.facts}


def paired(
    given: Iterable[Interaction], unseen: Iterable[Mapping[str, Any]], candidate: str, since: float, artifact: str = ""
) -> list[Pair]:
    """Find the pairs of a candidate.

    Args:
        given: every kept answer.
        unseen: every record of an unseen answer.
        candidate: its name in the catalogue.
        since: when its trial began, seconds since 1970; what is older is another one's.
        artifact: the digest of its weights; what other weights have answered is left out. Empty = not known.
    """
    known = {one.id: one for one in given}
    own = [
        row
        for row in unseen
        if row["moegate"]["expert"] == candidate
        and row["timestamp"] >= int(since)
        and (not artifact or row["moegate"]["artifact"] == artifact)
    ]
    latest = {str(row["moegate"]["shadow_of"]): row for row in own}
    return [Pair(known[name], Interaction(row)) for name, row in latest.items() if name in known]


def compare(pairs: Iterable[Pair], rules: Rules) -> Compared:
    """Judge the candidate by its answers."""
    found = list(pairs)
    whole = [pair for pair in found if not pair.has_failed]
    measures = {
        "answered": ([1.0] * len(found), [float(not pair.has_failed) for pair in found]),
        GOAL: (
            [float(fault(pair.given) is None) for pair in found],
            [float(not pair.has_failed and fault(pair.unseen) is None) for pair in found],
        ),
    }
    return Compared(judge(measures, GOAL, rules), {"took": _took(whole), "same_as_liked": _same(whole)})


def _took(whole: list[Pair]) -> dict[str, dict[str, float]]:
    """Means of both, over what both have answered."""
    if not whole:
        return {}
    readings: dict[str, Callable[[Interaction], float]] = {
        "usd": lambda one: one.record["moegate"]["cost_usd"],
        "ttft_s": lambda one: one.record["moegate"]["latency"]["ttft_s"],
        "completion_tokens": lambda one: one.record["response"]["usage"]["completion_tokens"],
    }
    return {
        name: {"given": fmean(read(pair.given) for pair in whole), "unseen": fmean(read(pair.unseen) for pair in whole)}
        for name, read in readings.items()
    }


def _same(whole: list[Pair]) -> dict[str, float]:
    """How often it said what somebody has liked."""
    liked = [pair for pair in whole if (pair.given.rating or 0.0) > 0]
    same = sum(_said(pair.given) == _said(pair.unseen) for pair in liked)
    return {"n": len(liked), "share": same / len(liked)} if liked else {"n": 0, "share": 0.0}


def _said(one: Interaction) -> tuple[str, tuple[str, ...]]:
    calls = tuple(f"{call['function']['name']} {call['function']['arguments']}" for call in _calls(one))
    return " ".join((one.message.get("content") or "").split()), calls


def _calls(one: Interaction) -> list[Mapping[str, Any]]:
    return list(one.message.get("tool_calls") or ())
