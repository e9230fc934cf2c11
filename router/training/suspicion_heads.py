"""The heads behind the guard's learned rules while they are fitted: texts as rows, folds of whole sources, thresholds.

`router.training.suspicion` runs it; `router.model.suspicion` is what comes out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router.features.featurize import BUCKETS, Features, featurize_turn
from router.features.withheld import nearness
from router.model.suspicion import (
    CONTEXT_NAMES,
    HEADS,
    MOST_PASTED,
    PASTED_FROM,
    RATES,
    Suspicion,
    chunks,
    context_row,
    has_sign,
)
from router.model.topic import background_of
from router.training.suspicion_texts import HAND, Sample

FOLDS: Final = 2
PER_SOURCE: Final = 300  # benign texts that a source teaches
STRENGTH: Final = 3.0  # scikit-learn's C
POSITIVE_SHARE: Final = 0.25  # weight of attacks beside the benign
HAND_WEIGHT: Final = 15.0  # of a hand-written benign text, which has a trigger word, beside a source's

Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Read:
    """Samples as numbers: a row each."""

    samples: list[Sample]
    features: list[Features]
    signs: list[bool]

    def __len__(self) -> int:
        return len(self.samples)

    def pick(self, places: Iterable[int]) -> "Read":
        """Return some of them."""
        at = [int(place) for place in places]
        return Read([self.samples[i] for i in at], [self.features[i] for i in at], [self.signs[i] for i in at])

    def where(self, holds: Callable[[Sample], bool]) -> "Read":
        """Return those of which it holds."""
        return self.pick(at for at, sample in enumerate(self.samples) if holds(sample))

    def __add__(self, other: "Read") -> "Read":
        return Read(self.samples + other.samples, self.features + other.features, self.signs + other.signs)


def read_all(samples: Sequence[Sample]) -> Read:
    """Read texts as the router does."""
    return Read(
        list(samples),
        [featurize_turn(sample.text) for sample in samples],
        [has_sign(sample.text) for sample in samples],
    )


def design(read: Read, known: Any) -> Any:  # noqa: ANN401 - scipy ships no types
    """Lay out rows for scikit-learn, (n, K + D + 1)."""
    from scipy import sparse  # noqa: PLC0415 - training only

    ends = np.cumsum([0, *(len(one.indices) for one in read.features)])
    values = np.concatenate([one.values for one in read.features])
    indices = np.concatenate([one.indices for one in read.features]).astype(np.int32)
    hashed = sparse.csr_matrix((values, indices, ends), shape=(len(read), BUCKETS))[:, known]
    dense = np.column_stack([np.stack([one.dense for one in read.features]), np.array(read.signs, dtype=np.float32)])
    return sparse.hstack([hashed, sparse.csr_matrix(dense)], format="csr").astype(np.float32)


def fit_head(positive: Read, benign: Read, known: Any) -> tuple[Doubles, float]:  # noqa: ANN401
    """Fit one head: weights (K + D + 1,) and bias."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    weight = np.array(
        [*_weights(positive, lambda one: 1.0 if one.source == "parts" else 6.0), *_weights(benign, _benign_weight)]
    )
    truth = np.array([1] * len(positive) + [0] * len(benign))
    weight[truth == 1] *= POSITIVE_SHARE * weight[truth == 0].sum() / weight[truth == 1].sum()
    model = LogisticRegression(C=STRENGTH, max_iter=60, tol=1e-3)
    model.fit(design(positive + benign, known), truth, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])


def _weights(read: Read, weigh: Callable[[Sample], float]) -> list[float]:
    return [weigh(sample) for sample in read.samples]


def _benign_weight(sample: Sample) -> float:
    return HAND_WEIGHT if sample.source == HAND else 1.0


def thin(read: Read, seed: int = 0) -> Read:
    """Keep at most `PER_SOURCE` of each source, drawn by `seed`."""
    generator = np.random.default_rng(seed)
    sources = np.array([sample.source for sample in read.samples])
    kept = [generator.permutation(np.flatnonzero(sources == name))[:PER_SOURCE] for name in sorted(set(sources))]
    return read.pick(np.concatenate(kept))


def folds_of(read: Read) -> Doubles:
    """Deal whole sources out, (n,); the hand-written ones, -1, are in every fold's training."""
    names = sorted({sample.source for sample in read.samples} - {HAND})
    dealt = {name: place % FOLDS for place, name in enumerate(np.random.default_rng(0).permutation(names))}
    return np.array([dealt.get(sample.source, -1) for sample in read.samples])


def dealt_of(read: Read) -> Doubles:
    """Deal attacks out, (n,): copies follow one another, so each source is cut in as many runs as there are folds."""
    sources = [sample.source for sample in read.samples]
    seen: Counter[str] = Counter()
    sizes, dealt = Counter(sources), []
    for name in sources:
        dealt.append(seen[name] * FOLDS // sizes[name])
        seen[name] += 1
    return np.array(dealt)


class Heads:
    """The three heads, and what they say of texts."""

    def __init__(self, attacks: dict[str, Read], benign: dict[str, Read], known: Any) -> None:  # noqa: ANN401
        fitted = [fit_head(attacks[name], benign[name], known) for name in HEADS]
        weights, count = np.array([weight for weight, _ in fitted]).T, len(known)
        scale = np.abs(weights[:count]).max(axis=0) / 127.0
        self.model = Suspicion(
            known.astype(np.int32),
            np.rint(weights[:count] / scale).astype(np.int8),
            scale.astype(np.float32),
            weights[count:].astype(np.float32),
            np.array([bias for _, bias in fitted], dtype=np.float32),
            np.zeros(len(CONTEXT_NAMES) + 1, dtype=np.float32),
            background_of(np.stack([one.dense for one in benign[HEADS[0]].features])),
            {},
            {},
        )

    def scores(self, read: Read) -> Doubles:
        """Log-odds, (n, H)."""
        pairs = zip(read.features, read.signs, strict=True)
        return np.array([self.model.logits(features, sign=sign) for features, sign in pairs]).reshape(
            len(read), len(HEADS)
        )

    def pasted(self, read: Read) -> Doubles:
        """The highest log-odds of `document` among the pieces of a long turn, (n,)."""
        return np.array([self._highest(sample.text) for sample in read.samples])

    def _highest(self, text: str) -> float:
        if len(text) <= PASTED_FROM:
            return -np.inf
        pieces = list(chunks(text))[:MOST_PASTED]
        return max(float(self.model.logits(featurize_turn(piece))[HEADS.index("document")]) for piece in pieces)


def context_rows(read: Read, scores: Doubles) -> tuple[Doubles, Any]:
    """Lay out what `context` weighs, and which rows have a prompt that withholds something."""
    near = [nearness(one.system, one.text, features) for one, features in zip(read.samples, read.features, strict=True)]
    rows = [context_row(*pair, sign=sign) for *pair, sign in zip(near, scores, read.signs, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(read), -1), np.array(
        [bool(one[0]) for one in near], dtype=np.bool_
    )


def fit_context(rows: Doubles, truth: Doubles) -> Doubles:
    """Fit the small head, (len(CONTEXT_NAMES) + 1,)."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    model = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced")
    model.fit(rows[:, :-1], truth)
    return np.append(model.coef_[0], model.intercept_[0])


def thresholds(benign: Doubles) -> dict[str, float]:
    """Log-odds that so many of benign texts reach, by rate."""
    return {str(rate): float(np.quantile(benign, 1.0 - rate)) for rate in RATES}


def calibrate(attacks: Doubles, benign: Doubles) -> tuple[float, float]:
    """Fit slope and intercept by Platt's method, an attack being as likely as not."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    attacks, benign = attacks[np.isfinite(attacks)], benign[np.isfinite(benign)]
    if not len(attacks) or not len(benign):
        return 1.0, 0.0
    truth = np.array([1] * len(attacks) + [0] * len(benign))
    model = LogisticRegression(C=1e3, class_weight="balanced").fit(np.concatenate([attacks, benign])[:, None], truth)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
