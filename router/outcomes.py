"""Two tiers of one task: can the prompt say whether the strong model is worth its price?

`evaluate --outcomes` calls this. Rows say whether a weak and a strong model were right; a ridge on the router's
features predicts the difference, out of fold, and is scored by APGR and CPT (Ong et al. 2024, RouteLLM, section 4)
beside random, prompt length and the category's mean.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from router.dataset import read_json_lines
from router.errors import DatasetError
from router.features import RouteQuery, Turn, featurize
from router.heads import Doubles, design_matrix

FOLDS = 5
DRAWS = 1_000
RIDGE = 10.0
SHRINK = 20.0  # rows by which a category's mean is pulled to the overall mean
MIN_GAP = 0.05  # below this gap between the models APGR explodes (a division by almost nothing)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Recorded answers: prompts, whether each model was right (n,), and categories where the file has them."""

    prompts: tuple[str, ...]
    weak: Doubles
    strong: Doubles
    categories: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class TierScores:
    """Scores with 95 % bootstrap intervals over prompts; APGR of random is 0.5 by definition."""

    n: int
    apgr: dict[str, Any]
    cpt50: dict[str, Any]
    cpt80: dict[str, Any]
    baselines: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's object."""
        return {name: getattr(self, name) for name in self.__slots__}


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
    """Predict out of fold and score."""
    generator = np.random.default_rng(seed)
    folds = generator.permutation(len(data.prompts)) % FOLDS
    score = predict(data, folds)
    others = {"random": 0.5, "prompt length": apgr(np.array([float(len(text)) for text in data.prompts]), data)}
    if data.categories:
        others["category mean"] = apgr(category_mean(data, folds), data)
    draws = [generator.integers(len(score), size=len(score)) for _ in range(DRAWS)]
    curves = np.array([_figures(score[at], data.weak[at], data.strong[at]) for at in draws])
    values = _figures(score, data.weak, data.strong)
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    figures = [
        {"value": round(float(value), 4), "ci95": [round(float(bottom), 4), round(float(top), 4)]}
        for value, bottom, top in zip(values, low, high, strict=True)
    ]
    rounded = {name: round(value, 4) for name, value in others.items()}
    return TierScores(len(score), figures[0], figures[1], figures[2], rounded)


def predict(data: Outcomes, folds: np.ndarray[Any, np.dtype[np.int64]]) -> Doubles:
    """Predict strong minus weak of each row by a ridge on the other folds."""
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - training only

    matrix = design_matrix([featurize(RouteQuery((Turn("user", text),))) for text in data.prompts])
    gain = data.strong - data.weak
    score = np.zeros(len(gain))
    for fold in range(FOLDS):
        out = folds == fold
        score[out] = Ridge(alpha=RIDGE, solver="sparse_cg").fit(matrix[~out], gain[~out]).predict(matrix[out])
    return score


def category_mean(data: Outcomes, folds: np.ndarray[Any, np.dtype[np.int64]]) -> Doubles:
    """Predict the mean gain of a row's category in the other folds, shrunk towards the overall mean."""
    names = np.array(data.categories)
    gain = data.strong - data.weak
    score = np.zeros(len(gain))
    for fold in range(FOLDS):
        out = folds == fold
        overall = gain[~out].mean()
        for name in np.unique(names[out]):
            known = gain[~out & (names == name)]
            score[out & (names == name)] = (known.sum() + SHRINK * overall) / (known.size + SHRINK)
    return score


def apgr(score: Doubles, data: Outcomes) -> float:
    """Average performance gap recovered when the highest scores go to the strong model."""
    return _figures(score, data.weak, data.strong)[0]


def _figures(score: Doubles, weak: Doubles, strong: Doubles) -> tuple[float, float, float]:
    """Return (APGR, CPT50, CPT80): area under the recovered gap over the share of strong calls, and where it is .5, .8.

    Ties in the score are served at random on average: their gains are spread evenly over the tied rows.
    """
    gain = strong - weak
    _, inverse, counts = np.unique(-score, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(inverse, weights=gain) / counts
    ordered = np.repeat(mean_gain, counts)
    recovered = np.concatenate([[0.0], np.cumsum(ordered)]) / gain.sum()
    share = np.linspace(0.0, 1.0, len(recovered))
    crossings = [float(share[int(np.argmax(recovered >= level))]) for level in (0.5, 0.8)]
    return float(np.trapezoid(recovered, share)), crossings[0], crossings[1]


def report(scores: TierScores, console: Console) -> None:
    """Print the table."""
    table = Table(title=f"weak or strong, {FOLDS}-fold, {scores.n} prompts")
    for title in ("chooser", "APGR", "95 % interval"):
        table.add_column(title)
    low, high = scores.apgr["ci95"]
    table.add_row(
        "router features, ridge", f"{scores.apgr['value']:.3f}", f"[{low:.3f}, {high:.3f}]".replace("[", r"\[")
    )
    for name, value in scores.baselines.items():
        table.add_row(name, f"{value:.3f}", "")
    console.print(table)
    for name, found in (("CPT50", scores.cpt50), ("CPT80", scores.cpt80)):
        console.print(
            f"{name}: {found['value']:.1%} of calls to strong ({found['ci95'][0]:.1%} to {found['ci95'][1]:.1%})"
        )
