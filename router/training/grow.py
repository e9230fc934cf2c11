"""A further expert, learned from a few examples: `python -m router.train --add examples.jsonl`.

The trained network stays as it is, bit for bit. Each new expert gets one linear unit beside it, fitted on the expert's
examples against the seeds that ship, so that nothing but the checkout is needed. From which value on the unit speaks
comes from folds: it does for at most `TAKEN` of the seeds, each scored by a fit that has not seen it. Where it speaks,
the other classes yield: they never learned that somebody else is better at this. Its weights have eight bits: with the
four of the trained units three of twenty unseen requests did not reach it any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from router.commands.outputs import claim
from router.errors import DatasetError
from router.features.featurize import BUCKETS
from router.features.int4 import WIDE_LEVELS, Int8s
from router.features.structure import Floats
from router.features.word_vectors import SIZE
from router.model.artifact import IS_ARTIFACT, Artifact, Side, load, save
from router.model.gate import TOOL_CALLER, Gate, sigmoid
from router.model.network import Network
from router.model.system_prompt import SystemHead
from router.training.dataset import Row, read_rows, read_seeds, without_duplicates
from router.training.heads import Bools, Doubles, design_matrix, featurize_all
from router.training.system_fit import is_system_row
from router.training.typos import slipped

Ints = np.ndarray[Any, np.dtype[np.int32]]

LEAST_EXAMPLES = 10
FOLDS = 4
TAKEN = 0.004  # share of the seeds that may go to a new expert
STRENGTH = 0.3
TOLERANCE = 1e-3
STRETCHES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the unit's log-odds; the one is kept that is calibrated best in folds
NGRAMS = (
    0.5  # what an n-gram counts beside structure and meaning: few examples share their meaning more than their words
)
SINK = 10.0  # how much faster its log-odds fall below the threshold than they rise above: it is no guess for the unsure
YIELD = 40.0  # log-odds that the others lose for each that the unit is above its threshold


@dataclass(frozen=True, slots=True)
class Line:
    """A linear answer: weights (F,) and bias."""

    weights: Doubles
    bias: float

    def __call__(self, matrix: Any) -> Doubles:  # noqa: ANN401 - scipy ships no types
        """Answer for rows of a matrix, (n,)."""
        return np.asarray(matrix @ self.weights + self.bias, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Grown:
    """What was learned of one expert.

    Attributes:
        artifact: with the expert among its classes, last.
        reached: share of the examples that reach it when it has not seen them.
        taken: share of the seeds that go to it.
    """

    artifact: Artifact
    reached: float
    taken: float


def grow(artifact: Artifact, expert: str, examples: Sequence[Row], seeds: Sequence[Row], seed: int) -> Grown:
    """Add one expert.

    Raises:
        DatasetError: it is known already, or there are too few examples.
    """
    _check(artifact, expert, examples)
    gate = Gate(artifact)
    leans = gate.leaning if artifact.leans else None
    others = [row for row in seeds if expert not in row.labels]
    rows = [*examples, *slipped(examples, seed), *others]
    target = np.arange(len(rows)) < 2 * len(examples)
    features = featurize_all(rows, leans)
    matrix = design_matrix(features).tocsr()
    mine = np.unique(matrix[: 2 * len(examples), :BUCKETS].indices).astype(np.int32)
    matrix = matrix[:, np.concatenate([mine, np.arange(BUCKETS, matrix.shape[1])])]
    fold = np.concatenate([np.tile(np.arange(len(examples)), 2), np.arange(len(others))]) % FOLDS
    unseen = np.zeros(len(rows))
    for at in range(FOLDS):
        unseen[fold == at] = _fit(matrix[fold != at], target[fold != at], len(mine), seed)(matrix[fold == at])
    speaks_from = float(np.quantile(unseen[~target], 1.0 - TAKEN))
    stretch = _stretch(unseen - speaks_from, target)
    line = _fit(matrix, target, len(mine), seed)
    unit = Line(stretch * line.weights, stretch * (line.bias - speaks_from))
    return Grown(
        _with_class(artifact, expert, widened(artifact.network, mine, unit), len(examples)),
        reached=float((unseen[: len(examples)] > speaks_from).mean()),
        taken=float((unseen[~target] > speaks_from).mean()),
    )


def _check(artifact: Artifact, expert: str, examples: Sequence[Row]) -> None:
    """Refuse what cannot be learned."""
    if expert in (*artifact.classes, TOOL_CALLER):
        raise DatasetError(f"the router knows {expert!r} already; examples are for an expert that is new to it")
    if len(examples) < LEAST_EXAMPLES:
        raise DatasetError(f"{len(examples)} examples of {expert!r} are too few: {LEAST_EXAMPLES} or more, better 20")


def _fit(matrix: Any, target: Bools, known: int, seed: int) -> Line:  # noqa: ANN401 - scipy ships no types
    """Fit a logistic regression, examples and seeds weighing the same; its first `known` weights are n-grams'."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    weight = np.where(target, 0.5 / target.sum(), 0.5 / (~target).sum())
    model = LogisticRegression(C=STRENGTH, solver="liblinear", tol=TOLERANCE, max_iter=500, random_state=seed)
    counts = np.ones(matrix.shape[1])
    counts[:known] = NGRAMS
    model.fit(matrix.multiply(counts).tocsr(), target, sample_weight=weight / weight.mean())
    weights = model.coef_[0] * counts
    steps, scale = _rounded(weights[:known])
    return Line(np.concatenate([steps[:, 0] * scale[0], weights[known:]]), float(model.intercept_[0]))


def _rounded(weights: Doubles) -> tuple[Int8s, Floats]:
    """Round to eight bits, because four lose some of the examples' kind: (K, 1) steps, (1,) scale."""
    column = weights[:, None].astype(np.float32)
    scale = np.maximum(np.abs(column).max(axis=0, initial=0.0), 1e-9) / WIDE_LEVELS
    return np.rint(column / scale).astype(np.int8), np.asarray(scale, dtype=np.float32)


def _stretch(above: Doubles, target: Bools) -> float:
    """Choose the stretch whose probabilities cost least (log loss, examples and seeds weighing the same)."""

    def cost(stretch: float) -> float:
        found = np.clip(sigmoid(stretch * above), 1e-6, 1.0 - 1e-6)
        return float(-np.log(found[target]).mean() - np.log(1.0 - found[~target]).mean())

    return min(STRETCHES, key=cost)


def widened(network: Network, mine: Ints, unit: Line) -> Network:
    """Put a linear answer beside a network's: two rectified units, one for what speaks for it and one for the rest.

    Args:
        network: of C classes.
        mine: buckets of the n-grams that the answer knows, (K,) ascending.
        unit: its weights: of these n-grams, then of structure and meaning.
    """
    known = np.union1d(network.known, mine).astype(np.int32)
    steps, scale = _rounded(unit.weights[: len(mine)])
    hashed = np.zeros((len(known) + 1, network.hashed.shape[1] + 2), dtype=np.int8)
    hashed[1 + np.searchsorted(known, network.known), :-2] = network.hashed[1:]
    hashed[1 + np.searchsorted(known, mine), -2:] = np.concatenate([steps, -steps], axis=1)
    units, classes = network.out.shape
    out = np.zeros((units + 2, classes + 1), dtype=np.float32)
    out[:units, :classes] = network.out
    out[units, classes], out[units + 1, classes] = 1.0, -SINK
    out[units, :classes] = -YIELD
    dense = unit.weights[len(mine) :, None].astype(np.float32)
    return Network.of(
        known=known,
        hashed=hashed,
        scale=np.concatenate([network.scale, scale, scale]),
        dense=np.concatenate([network.dense, dense, -dense], axis=1),
        bias=np.concatenate([network.bias, np.array([unit.bias, -unit.bias], dtype=np.float32)]),
        out=out,
        out_bias=np.concatenate([network.out_bias, np.zeros(1, dtype=np.float32)]),
    )


def _with_class(artifact: Artifact, expert: str, network: Network, count: int) -> Artifact:
    """Put the parts together: the other heads do not hear of the newcomer."""
    added = dict(artifact.training.get("added") or {}) | {expert: count}
    return replace(
        artifact,
        classes=(*artifact.classes, expert),
        network=network,
        slope=np.append(artifact.slope, artifact.slope[:1]),
        intercept=np.append(artifact.intercept, artifact.intercept[:1]),
        fits=_deaf(artifact.fits),
        system=_silent(artifact.system, len(artifact.classes)),
        training=artifact.training | {"added": added},
    )


def _deaf(fits: Side | None) -> Side | None:
    """Let the tools' head take no notice of one more opinion."""
    return replace(fits, dense=np.append(fits.dense, np.float32(0.0))) if fits else None


def _silent(system: SystemHead | None, classes: int) -> SystemHead | None:
    """Let system prompts say nothing for or against one more class."""
    if system is None:
        return None
    hashed: Floats = np.insert(system.hashed, classes, 0.0, axis=1)
    dense: Floats = np.insert(np.insert(system.dense, SIZE + classes, 0.0, axis=0), classes, 0.0, axis=1)
    return SystemHead(system.known, hashed, dense)


def add_experts(examples_path: Path, base: Path, seeds_folder: Path, out: Path | None, seed: int) -> int:
    """Add every expert that a file of examples names to an artefact, and write another one.

    Raises:
        ArtifactError: the artefact cannot be used.
        NotOurs: something else lies where the new one is to be written.
        DatasetError: the examples cannot be used.
    """
    out = out or examples_path.with_suffix(".npz")
    claim(out, IS_ARTIFACT)
    examples, artifact = read_rows([examples_path]), load(base)
    known = (*artifact.classes, TOOL_CALLER)
    named = list(dict.fromkeys(label for row in examples for label in row.labels))
    names = [name for name in named if name not in known] or named[:1]
    if not names:
        raise DatasetError(f"{examples_path.name}: no examples")
    seeds = [row for row in without_duplicates(read_seeds(seeds_folder)) if not is_system_row(row)]
    for name in names:
        mine = [row for row in examples if name in row.labels]
        rest = [row for row in examples if name not in row.labels]
        grown = grow(artifact, name, mine, [*seeds, *rest], seed)
        artifact = grown.artifact
        print(
            f"{name}: {len(mine)} examples, of which {grown.reached:.0%} reach it when it has not seen them; "
            f"it takes {grown.taken:.2%} of the seeds"
        )
    print(f"wrote {out}: artefact {save(artifact, out)}; set router.artifact to it")
    return 0
