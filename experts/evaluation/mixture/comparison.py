"""The mixture against the one: the same rows asked of `auto`, of each expert alone and of the base, and compared.

The command asks and writes the tables. Every model answers the same rows, so differences are of pairs, and their
intervals are narrower than the models' own would suggest. The *oracle* takes, row by row, the best of the experts (of
equal ones the cheapest): no router that chooses one of them can do better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experts.evaluation.suites.scores import Score, mean, share

AUTO = "auto"
ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to one row.

    Attributes:
        row: which one: a hash of its content.
        kind: what it counts under.
        model: whom the client asked for.
        quality: right (1) or wrong (0) by the row's own rule.
        expert: who answered; "" where nobody did.
        usd: what it cost by the gateway's ledger.
        ttft_ms: to the first token; None where there was none.
        finish: how it ended, or the code of the error.
        answer: its text, to read what was wrong.
    """

    row: str
    kind: str
    model: str
    quality: float
    expert: str
    usd: float
    ttft_ms: float | None
    finish: str
    answer: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Line:
    """One model of the table.

    Attributes:
        quality: mean over all rows, with its interval.
        kinds: the same for each kind.
        gain: `auto`'s quality above this model's, with the interval of the paired difference; None for `auto`.
        experts: share of answers by who gave them.
    """

    model: str
    quality: Score
    kinds: Mapping[str, Score]
    gain: Score | None
    usd_per_1000: float
    ttft_p50_ms: float | None
    ttft_p90_ms: float | None
    experts: Mapping[str, float]


def oracle(judged: Sequence[Judged], experts: Sequence[str]) -> list[Judged]:
    """Choose for each row the answer of the best expert; of equal ones the cheapest."""
    of_row: dict[str, list[Judged]] = {}
    for one in judged:
        if one.model in experts:
            of_row.setdefault(one.row, []).append(one)
    return [min(answers, key=lambda one: (-one.quality, one.usd)) for answers in of_row.values()]


def compare(judged: Sequence[Judged], models: Sequence[str], experts: Sequence[str], seed: int) -> list[Line]:
    """Make a line of each model, and of the oracle over `experts` (of `models`), on the rows that all have answered."""
    by_model = {model: {one.row: one for one in judged if one.model == model} for model in models}
    common = set.intersection(*(set(answers) for answers in by_model.values()))
    kept = {model: [answers[row] for row in answers if row in common] for model, answers in by_model.items()}
    if experts:
        kept[ORACLE] = oracle([one for answers in kept.values() for one in answers], experts)
    order = {row: at for at, row in enumerate(by_model[models[0]])}
    ordered = {model: sorted(answers, key=lambda one: order[one.row]) for model, answers in kept.items()}
    return [_line(model, answers, ordered.get(AUTO), seed) for model, answers in ordered.items()]


def ratio_to_oracle(lines: Sequence[Line]) -> float | None:
    """Return what share of the oracle's quality `auto` reaches; None without both, or where nothing is right."""
    found = {line.model: line.quality.value for line in lines}
    return found[AUTO] / found[ORACLE] if AUTO in found and found.get(ORACLE) else None


def paired_difference(ours: Sequence[float], theirs: Sequence[float], seed: int) -> Score:
    """Return the mean of the differences with the percentile bootstrap's interval over rows."""
    return mean([a - b for a, b in zip(ours, theirs, strict=True)], seed)


def _line(model: str, answers: Sequence[Judged], auto: Sequence[Judged] | None, seed: int) -> Line:
    kinds = dict.fromkeys(sorted({one.kind for one in answers}))
    times = [one.ttft_ms for one in answers if one.ttft_ms is not None]
    p50, p90 = (float(value) for value in np.percentile(times, [50, 90])) if times else (None, None)
    names = [one.expert or "nobody" for one in answers]
    return Line(
        model=model,
        quality=_score(answers, seed),
        kinds={kind: _score([one for one in answers if one.kind == kind], seed) for kind in kinds},
        gain=None if auto is None or model == AUTO else paired_difference(_qualities(auto), _qualities(answers), seed),
        usd_per_1000=1000 * sum(one.usd for one in answers) / len(answers),
        ttft_p50_ms=p50,
        ttft_p90_ms=p90,
        experts={name: names.count(name) / len(names) for name in sorted(set(names))},
    )


def _score(answers: Sequence[Judged], seed: int) -> Score:
    qualities = _qualities(answers)
    if set(qualities) <= {0.0, 1.0}:
        return share(round(sum(qualities)), len(qualities))
    return mean(qualities, seed)


def _qualities(answers: Iterable[Judged]) -> list[float]:
    return [one.quality for one in answers]
