"""The measured variants of one expert for one task, and which of them no other beats; `experts.select` reports them.

An option is one measured variant (base, adapter, a quantisation) on one data file. Its cost is the catalogue's price of
the measured tokens. The Pareto set of an expert's options on a task holds those that no other beats in quality, cost
and time to first token together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experts.catalog.spec import ExpertSpec
from experts.evaluation.suites.known import RIGHT
from experts.evaluation.suites.mixed import QUALITY

HEADLINE = {suite: measures[0] for suite, measures in RIGHT.items()} | {"mixed": QUALITY}


class ResultError(Exception):
    """A result file is not what `python -m experts.evaluate --out` writes; the message names it."""


@dataclass(frozen=True, slots=True)
class Option:
    """One variant of an expert on one task."""

    expert: str
    suite: str
    data: str  # file's name and number of rows, so that options of other rows are not compared
    variant: str
    score: str  # the suite's headline score
    quality: float
    low: float  # of its 95 % interval
    high: float
    n: int
    usd_per_1000: float  # requests of this task
    ttft_ms: float | None  # one sequence alone; None: not measured
    tokens_per_s: float | None
    context_window: int
    licence: str
    size_mb: float | None

    @property
    def group(self) -> tuple[str, str, str]:
        """Options of one group are comparable."""
        return self.expert, self.suite, self.data


def read_option(result: Mapping[str, Any], spec: ExpertSpec, where: str) -> Option:
    """Read one result.

    Raises:
        ResultError: it lacks something.
    """
    try:
        measured, artifact = result["measured"], result["artifact"]
        headline = HEADLINE[result["suite"]]
        score = result["scores"][headline]
        prompt_usd = measured["prompt_tokens"] * spec.price.usd_per_prompt_token
        completion_usd = measured["completion_tokens"] * spec.price.usd_per_completion_token
        return Option(
            expert=spec.name,
            suite=result["suite"],
            data=f"{result['data']['file']}, {result['n']} of {result['data']['rows']}, seed {result['data']['seed']}",
            variant=str(result["variant"]),
            score=headline,
            quality=float(score["value"]),
            low=float(score["ci95"][0]),
            high=float(score["ci95"][1]),
            n=int(score["n"]),
            usd_per_1000=1000 * (prompt_usd + completion_usd),
            ttft_ms=measured["alone"]["ttft_ms"],
            tokens_per_s=measured["alone"]["tokens_per_s"],
            context_window=spec.context_window,
            licence=spec.licence,
            size_mb=artifact["bytes"] / 1e6 if artifact else None,
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ResultError(f"{where}: not a result of experts.evaluate: {type(error).__name__} {error}") from None


def pareto(options: Sequence[Option]) -> list[Option]:
    """Return the options that no other of their group beats.

    Time to first token counts in a group where every option has one.
    """
    return [one for one in options if not any(_beats(other, one, options) for other in options)]


def _beats(left: Option, right: Option, options: Sequence[Option]) -> bool:
    """Say whether `left` is as good as `right` in everything and better in something."""
    if left.group != right.group:
        return False
    timed = all(option.ttft_ms is not None for option in options if option.group == left.group)
    ours, theirs = _axes(left, timed=timed), _axes(right, timed=timed)
    return all(a >= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _axes(option: Option, *, timed: bool) -> tuple[float, ...]:
    """Return what is compared; more is better."""
    axes = (option.quality, -option.usd_per_1000)
    return (*axes, -(option.ttft_ms or 0.0)) if timed else axes


def lift(option: Option, options: Sequence[Option]) -> tuple[float, bool] | None:
    """Return the quality over the base's and whether their intervals are apart; None without a base beside it."""
    base = next((other for other in options if other.group == option.group and other.variant == "base"), None)
    if base is None or base is option:
        return None
    return option.quality - base.quality, option.low > base.high or option.high < base.low
