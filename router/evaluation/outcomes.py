"""Weak or strong model: can the prompt tell whether the strong one is worth its price?

`evaluate --outcomes` calls this with recorded answers of a weak and a strong model. `tiers` predicts the difference. It
is scored out of fold, or on another benchmark than it was trained on, and compared with simple baselines (`gap`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from router.errors import DatasetError
from router.evaluation.gap import Figure, Recovered, bootstrap, recovered
from router.evaluation.tiers import Prompts, TierPredictor
from router.features.tokens import estimate_tokens
from router.training.dataset import read_json_lines
from router.training.heads import Doubles

FOLDS = 5
MIN_GAP = 0.05  # below this gap between the models APGR explodes (a division by almost nothing)
COMPLETION_TOKENS = 200.0  # of an answer, beside the prompt, in the token-weighted cost: the files hold no lengths
OURS = "this predictor"

Folds = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Recorded answers: prompts, whether each model was right (n,), and categories where the file has them."""

    prompts: tuple[str, ...]
    weak: Doubles
    strong: Doubles
    categories: tuple[str, ...] | None

    @property
    def gain(self) -> Doubles:
        """Strong minus weak, (n,)."""
        return self.strong - self.weak

    def part(self, at: np.ndarray[Any, Any]) -> Prompts:
        """Return some prompts; `at` is a mask or places."""
        places = np.arange(len(self.prompts))[at]
        categories = None if self.categories is None else tuple(self.categories[place] for place in places)
        return Prompts(tuple(self.prompts[place] for place in places), categories)


@dataclass(frozen=True, slots=True)
class TierScores:
    """Every chooser's APGR, CPT50 and CPT80 by calls and by tokens; `OURS` first.

    Attributes:
        n: prompts scored.
        by_calls: cost is the share of calls to the strong model.
        by_tokens: cost is the share of tokens, prompt and `COMPLETION_TOKENS`, that it handles.
        curve: PGR over calls of `OURS`.
        title: what was trained on what.
    """

    n: int
    by_calls: dict[str, tuple[Figure, Figure, Figure]]
    by_tokens: dict[str, tuple[Figure, Figure, Figure]]
    curve: Recovered
    title: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's object; random is 0.5 by definition, the oracle no baseline."""
        apgr, cpt50, cpt80 = (figure.as_dict() for figure in self.by_calls[OURS])
        others = {
            name: round(found[0].value, 4) for name, found in self.by_calls.items() if name not in (OURS, "oracle")
        }
        return {"n": self.n, "apgr": apgr, "cpt50": cpt50, "cpt80": cpt80, "baselines": others | {"random": 0.5}}

    def full(self) -> dict[str, Any]:
        """Return everything, for a report's file."""
        names = ("apgr", "cpt50", "cpt80")
        tables = {"by_calls": self.by_calls, "by_tokens": self.by_tokens}
        return {"n": self.n, "title": self.title} | {
            kind: {
                chooser: {name: figure.as_dict() for name, figure in zip(names, found, strict=True)}
                for chooser, found in table.items()
            }
            for kind, table in tables.items()
        }


def read(path: Path, weak: str = "weak", strong: str = "strong") -> Outcomes:
    """Read rows `{prompt, <weak>, <strong>, category? | subject?}`.

    Raises:
        DatasetError: a row lacks a column, there are too few rows, or the strong model is not better by `MIN_GAP`.
    """
    rows = []
    for number, raw in read_json_lines(path):
        if not isinstance(raw.get("prompt"), str) or weak not in raw or strong not in raw:
            raise DatasetError(f"{path.name}:{number}: needs prompt, {weak} and {strong}")
        rows.append((raw["prompt"], float(raw[weak]), float(raw[strong]), raw.get("category") or raw.get("subject")))
    if len(rows) < 10 * FOLDS:
        raise DatasetError(f"{path.name}: {len(rows)} rows are too few for {FOLDS} folds")
    prompts, weak_right, strong_right, categories = zip(*rows, strict=True)
    found = Outcomes(
        prompts,
        np.array(weak_right),
        np.array(strong_right),
        None if None in categories else tuple(map(str, categories)),
    )
    if found.strong.mean() - found.weak.mean() < MIN_GAP:
        raise DatasetError(f"{path.name}: the strong model is not better by {MIN_GAP}; APGR would mean nothing")
    return found


def evaluate(data: Outcomes, seed: int) -> TierScores:
    """Predict each fold from the other four and score."""
    folds = np.random.default_rng(seed).permutation(len(data.prompts)) % FOLDS
    members = predict(data, folds, seed)
    others = {name: score for name, score in members.items() if name == "category mean"}
    return _score(data, _sum(members), others, seed, f"{FOLDS}-fold within one benchmark")


def transfer(trained_on: Outcomes, tested_on: Outcomes, seed: int) -> TierScores:
    """Train on one benchmark and score another, whole; categories mean nothing across them."""
    source = Prompts(trained_on.prompts)
    predictor = TierPredictor.fit(source, trained_on.gain, seed)
    score = predictor.predict(Prompts(tested_on.prompts))
    return _score(tested_on, score, {}, seed, "trained on one benchmark, tested on another")


def predict(data: Outcomes, folds: Folds, seed: int) -> dict[str, Doubles]:
    """Return each member's out-of-fold prediction, (n,) each."""
    found: dict[str, Doubles] = {}
    for fold in range(FOLDS):
        out = folds == fold
        predictor = TierPredictor.fit(data.part(~out), data.gain[~out], seed)
        for name, score in predictor.members(data.part(out)).items():
            found.setdefault(name, np.zeros(len(out)))[out] = score
    return found


def apgr(score: Doubles, data: Outcomes) -> float:
    """Average performance gap recovered when the highest scores go to the strong model."""
    return recovered(score, data.gain).apgr


def _sum(members: dict[str, Doubles]) -> Doubles:
    return np.asarray(sum(members.values()), dtype=np.float64)


def _score(data: Outcomes, score: Doubles, others: dict[str, Doubles], seed: int, title: str) -> TierScores:
    """Put the predictor beside what it must beat, and the oracle."""
    choosers = {
        OURS: score,
        "random": np.random.default_rng(seed + 1).random(len(score)),
        "prompt length": np.array([float(len(text)) for text in data.prompts]),
        **others,
        "oracle": data.gain,
    }
    tokens = np.array([estimate_tokens([text]) for text in data.prompts]) + COMPLETION_TOKENS
    return TierScores(
        n=len(score),
        by_calls=bootstrap(choosers, data.gain, None, seed),
        by_tokens=bootstrap(choosers, data.gain, tokens, seed),
        curve=recovered(score, data.gain),
        title=title,
    )


def report(scores: TierScores, console: Console) -> None:
    """Print the table."""
    table = Table(title=f"weak or strong, {scores.title}, {scores.n} prompts; 95 % intervals")
    for title in ("chooser", "APGR", "CPT50", "CPT80", "APGR by tokens"):
        table.add_column(title)
    for name, figures in scores.by_calls.items():
        cells = [escape(str(figure)) for figure in (*figures, scores.by_tokens[name][0])]
        table.add_row(name, *cells)
    console.print(table)
