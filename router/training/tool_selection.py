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
from router.tools.selector import DEFAULT_PATH, ENCODED, FORMAT, NUMBERS, WORDS, Head
from router.training.embeddings import Embeddings
from router.training.tool_pools import pools
from router.training.tool_sources import read_source

RECALLS: Final = (0.9, 0.95, 0.97, 0.98, 0.99)
SIZES: Final = (60, 120, 250, 450)
STRENGTH: Final = {WORDS: 1e-4, ENCODED: 3e-3}  # scikit-learn's C: small, because sources differ more than numbers tell
HARD, EASY = 20, 6  # pairs a needed tool makes: with the tools that score best, and with random ones
ROUNDS: Final = 2
MOST_FLOOR: Final = 0.15  # of the tools: a higher floor is not worth its tokens
WITHOUT_SCHEMAS: Final = frozenset({"metatool"})  # names and a sentence alone: learned from, no part of the calibration

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Rows = Sequence[tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]]


def first_weights(head: str) -> Doubles:
    """Return the weights that choose the hard tools of the first round, (len(NUMBERS[head]),)."""
    wanted = ("all fields: beside the best tool", "meaning: beside the best tool")
    return np.array([float(name in wanted) for name in NUMBERS[head]])


def fit(groups: Sequence[Rows], head: str = WORDS, *, seed: int = 0) -> Doubles:
    """Fit a head's weights, (len(NUMBERS[head]),), on groups that weigh the same."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    weights = first_weights(head)
    for turn in range(ROUNDS):
        rng = np.random.default_rng(seed + turn)
        found = [_pairs(rows, weights, rng) for rows in groups]
        pairs = np.concatenate([part for part, _ in found])
        weight = np.concatenate([each / each.sum() for _, each in found])
        scale = pairs.std(axis=0) + 1e-6
        sign = rng.choice([-1, 1], len(pairs))
        model = LogisticRegression(C=STRENGTH[head], fit_intercept=False, max_iter=500)
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


def floor_of(rows: Rows, weights: Doubles, margin: float, recall: float) -> float:
    """Measure the share of the tools, best first, that has to be kept beside the margin to reach a recall."""
    wanted = []
    for near, needed in rows:
        scores = near @ weights
        place = np.empty(len(scores))
        place[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
        left = needed & (scores < scores.max() - margin)
        wanted.append(place[left].max(initial=0) / len(scores))
    return float(np.quantile(wanted, recall, method="higher"))


def calibrate(groups: Mapping[str, Rows], head: str = WORDS) -> tuple[dict[float, float], dict[float, float]]:
    """Find each recall's margin and floor, each group judged by weights fitted on the others.

    Returns:
        Margins: with which the recall is reached in the mean of the groups. Floors: with which, beside them, it is
        reached in the worst group, or nearly: they are `MOST_FLOOR` at most.
    """
    weights, held = {}, {}
    for name in sorted(groups.keys() - WITHOUT_SCHEMAS):
        weights[name] = fit([rows for other, rows in groups.items() if other != name], head)
        held[name] = margins_of(groups[name], weights[name])
    steps = np.unique(np.concatenate(list(held.values())))
    share = np.mean([np.searchsorted(np.sort(one), steps, side="right") / len(one) for one in held.values()], axis=0)
    margins = {recall: float(steps[min(len(steps) - 1, int(np.searchsorted(share, recall)))]) for recall in RECALLS}
    floors = {
        recall: min(MOST_FLOOR, max(floor_of(groups[name], weights[name], margin, recall) for name in held))
        for recall, margin in margins.items()
    }
    most = np.maximum.accumulate([floors[recall] for recall in RECALLS])  # a higher recall keeps no less
    return margins, dict(zip(RECALLS, map(float, most), strict=True))


def fit_head(groups: Mapping[str, Rows], head: str) -> Head:
    """Fit and calibrate a head."""
    margins, floors = calibrate(groups, head)
    return Head(fit(list(groups.values()), head).astype(np.float32), margins, floors)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the selector of tools on files of requests and the tools that they need."""
    parser = argparse.ArgumentParser(prog="python -m router.training.tool_selection", description=main.__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="JSON lines, a source each")
    parser.add_argument("--limit", type=int, default=350, help="requests of each source (350)")
    parser.add_argument("--encoder", metavar="URL", help="a server with /v1/embeddings: fit a head for it, too")
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH)
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    claim(options.out, json_with("format", "heads"))
    encode = Embeddings(options.encoder) if options.encoder else None
    sources = [source for path in options.data for source in read_source(path)]
    groups: dict[str, list[tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]]] = {}
    for source in sources:
        found = pools(source, sources, sizes=SIZES, limit=options.limit, seed=0, encode=encode)
        rows = [(one.numbers(), one.needed) for one in found]
        groups.setdefault(source.group, []).extend(rows)
        print(f"{source.name}: {len(rows)} requests, {len(source.tools)} tools", flush=True)
    heads = {name: fit_head(columns_of(groups, name), name) for name in ((WORDS, ENCODED) if encode else (WORDS,))}
    content = {
        "format": FORMAT,
        "encoder": encode.model if encode else None,
        "heads": {name: _written(head, name) for name, head in heads.items()},
        "requests": {source.name: min(options.limit, len(source.asked)) for source in sources},
    }
    write(options.out, json.dumps(content, indent=1) + "\n")
    for name, head in heads.items():
        print(f"{options.out}: {name}: margins {head.margins}, floors {head.floors}")
    return 0


def columns_of(groups: Mapping[str, Rows], head: str) -> dict[str, Rows]:
    """Leave the numbers that a head weighs."""
    count = len(NUMBERS[head])
    return {name: [(near[:, :count], needed) for near, needed in rows] for name, rows in groups.items()}


def _written(head: Head, name: str) -> dict[str, Any]:
    return {
        "weights": {key: round(float(value), 5) for key, value in zip(NUMBERS[name], head.weights, strict=True)},
        "margins": {str(recall): round(margin, 4) for recall, margin in head.margins.items()},
        "floors": {str(recall): round(floor, 4) for recall, floor in head.floors.items()},
    }


if __name__ == "__main__":
    raise SystemExit(main())
