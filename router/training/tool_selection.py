"""`python -m router.training.tool_selection --data FILE...`: fits the selector of tools (`router.tools.selector`).

A weight is wanted for each number of `likeness`, such that a tool which the request needs stands above those which it
does not: a logistic regression (scikit-learn) over differences between the two, after RankSVM's pairs (Joachims 2002).
Groups of sources weigh the same. Each group is then left out once, and the margin below the best tool that holds all
tools of a request is measured on it: that calibrates the stated recalls.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.commands.messages import run_command
from router.commands.outputs import claim, json_with, write
from router.tools.index import Floats
from router.tools.likeness import LIKENESS, likeness
from router.tools.selector import DEFAULT_PATH, FORMAT
from router.training.tool_pools import pools
from router.training.tool_sources import read_source

RECALLS: Final = (0.9, 0.95, 0.97, 0.98, 0.99)
SIZES: Final = (60, 120, 250, 450)
STRENGTH: Final = 1e-4  # scikit-learn's C: small, because sources differ more than numbers of one source tell
HARD, EASY = 20, 6  # pairs a needed tool makes: with the tools that score best, and with random ones
ROUNDS: Final = 2
WITHOUT_SCHEMAS: Final = frozenset({"metatool"})  # names and a sentence alone: learned from, no part of the margins

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Rows = Sequence[tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]]


def first_weights() -> Doubles:
    """Return the weights that choose the hard tools of the first round."""
    wanted = ("all fields: beside the best tool", "meaning: beside the best tool")
    return np.array([float(name in wanted) for name in LIKENESS])


def fit(groups: Sequence[Rows], *, seed: int = 0) -> Doubles:
    """Fit weights, (len(LIKENESS),), on groups that weigh the same."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    weights = first_weights()
    for turn in range(ROUNDS):
        rng = np.random.default_rng(seed + turn)
        found = [_pairs(rows, weights, rng) for rows in groups]
        pairs = np.concatenate([part for part, _ in found])
        weight = np.concatenate([each / each.sum() for _, each in found])
        scale = pairs.std(axis=0) + 1e-6
        sign = rng.choice([-1, 1], len(pairs))
        model = LogisticRegression(C=STRENGTH, fit_intercept=False, max_iter=500)
        model.fit(pairs / scale * sign[:, None], sign, sample_weight=weight * len(pairs) / weight.sum())
        weights = model.coef_[0] / scale
    return weights


def _pairs(rows: Rows, weights: Doubles, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Take differences between needed tools and others, and the weight of each: every request's sum to 1."""
    pairs, weight = [], []
    for near, needed in rows:
        others = np.flatnonzero(~needed)
        ranked = others[np.argsort(-(near[others] @ weights))]
        rest = ranked[HARD:]
        chosen = np.concatenate([ranked[:HARD], rng.choice(rest, min(EASY, len(rest)), replace=False)]).astype(int)
        for tool in np.flatnonzero(needed):
            pairs.append(near[tool] - near[chosen])
            weight.append(np.full(len(chosen), 1 / needed.sum() / len(chosen)))
    return np.concatenate(pairs).astype(np.float64), np.concatenate(weight)


def margins_of(rows: Rows, weights: Doubles) -> Doubles:
    """Measure how far below the best tool the last needed one stands, (n,)."""
    scores = [near @ weights for near, _ in rows]
    return np.array([one.max() - one[needed].min() for one, (_, needed) in zip(scores, rows, strict=True)])


def calibrate(groups: Mapping[str, Rows]) -> dict[float, float]:
    """Find each recall's margin: the mean over groups, each judged by weights fitted on the others."""
    held: list[Doubles] = []
    for name in sorted(groups.keys() - WITHOUT_SCHEMAS):
        weights = fit([rows for other, rows in groups.items() if other != name])
        held.append(margins_of(groups[name], weights))
    steps = np.unique(np.concatenate(held))
    share = np.mean([np.searchsorted(np.sort(one), steps, side="right") / len(one) for one in held], axis=0)
    return {recall: float(steps[min(len(steps) - 1, int(np.searchsorted(share, recall)))]) for recall in RECALLS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the selector of tools on files of requests and the tools that they need."""
    parser = argparse.ArgumentParser(prog="python -m router.training.tool_selection", description=main.__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="JSON lines, a source each")
    parser.add_argument("--limit", type=int, default=350, help="requests of each source (350)")
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH)
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    claim(options.out, json_with("format", "weights", "margins"))
    sources = [source for path in options.data for source in read_source(path)]
    groups: dict[str, list[tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]]] = {}
    for source in sources:
        found = pools(source, sources, sizes=SIZES, limit=options.limit, seed=0)
        rows = [(likeness(one.question, one.index), one.needed) for one in found]
        groups.setdefault(source.group, []).extend(rows)
        print(f"{source.name}: {len(rows)} requests, {len(source.tools)} tools")
    weights = fit(list(groups.values()))
    content = {
        "format": FORMAT,
        "weights": {name: round(float(weight), 5) for name, weight in zip(LIKENESS, weights, strict=True)},
        "margins": {str(recall): round(margin, 4) for recall, margin in calibrate(groups).items()},
        "requests": {source.name: min(options.limit, len(source.asked)) for source in sources},
    }
    write(options.out, json.dumps(content, indent=1) + "\n")
    print(f"{options.out}: margins {content['margins']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
