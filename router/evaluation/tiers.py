"""Weak or strong: predicts from the prompt alone how much more likely the strong model is to be right.

`outcomes` fits and scores it. It adds four simple predictors: a ridge regression on TF-IDF of words with category and
shape, one on the shape alone, the nearest known prompts, and the category's mean. Each alone is worse; their errors
differ.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.training.heads import Doubles

SHRINK = 20.0  # rows by which a category's mean is pulled to the overall mean
NEIGHBOURS = 100
NEIGHBOUR_DIMENSIONS = 96
WORD_RIDGE, SHAPE_RIDGE = 5.0, 30.0
SHAPE_SCALE = 0.1  # of a shape feature beside a TF-IDF row of length 1
SCORED_AT_ONCE = 1_000  # rows whose similarities to all known prompts are held in memory together

_NUMBER, _NAME, _SIGN = re.compile(r"\d+"), re.compile(r"\b[A-Z]\w+"), re.compile(r"[=+*/^<>]")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts, with categories where the data has them."""

    texts: tuple[str, ...]
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TierPredictor:
    """Fitted members; the parts of scikit-learn ship no types."""

    words: Any
    word_ridge: Any
    shape_scaler: Any
    shape_ridge: Any
    space: Any
    known: Doubles
    gain: Doubles
    category_gain: dict[str, float]

    @classmethod
    def fit(cls, prompts: Prompts, gain: Doubles, seed: int) -> "TierPredictor":
        """Fit on prompts and strong minus weak, (n,)."""
        from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415 - training only
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - training only
        from sklearn.linear_model import Ridge  # noqa: PLC0415 - training only
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - training only

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(prompts.texts)
        bags = words.transform(prompts.texts)
        shapes = _shapes(prompts.texts)
        scaler = StandardScaler().fit(shapes)
        category_gain = _category_gain(prompts.categories, gain)
        joined = _joined(bags, scaler.transform(shapes), prompts.categories, sorted(category_gain))
        dimensions = min(NEIGHBOUR_DIMENSIONS, bags.shape[1] - 1, bags.shape[0] - 1)
        with np.errstate(invalid="ignore"):  # prompts of the same words leave it no variance to explain
            space = TruncatedSVD(dimensions, random_state=seed).fit(bags)
        return cls(
            words=words,
            word_ridge=Ridge(alpha=WORD_RIDGE, solver="sparse_cg").fit(joined, gain),
            shape_scaler=scaler,
            shape_ridge=Ridge(alpha=SHAPE_RIDGE).fit(_squared(scaler.transform(shapes)), gain),
            space=space,
            known=_unit(space.transform(bags)),
            gain=gain,
            category_gain=category_gain,
        )

    def predict(self, prompts: Prompts) -> Doubles:
        """Score prompts, (n,): the higher, the more the strong model is worth."""
        return np.asarray(sum(self.members(prompts).values()), dtype=np.float64)

    def members(self, prompts: Prompts) -> dict[str, Doubles]:
        """Return each member's own prediction of the gain, (n,) each; without categories there is no category mean."""
        bags = self.words.transform(prompts.texts)
        shapes = self.shape_scaler.transform(_shapes(prompts.texts))
        joined = _joined(bags, shapes, prompts.categories, sorted(self.category_gain))
        found = {
            "words, category, shape": self.word_ridge.predict(joined),
            "shape": self.shape_ridge.predict(_squared(shapes)),
            "nearest prompts": self._neighbours(_unit(self.space.transform(bags))),
        }
        if self.category_gain and prompts.categories is not None:
            overall = float(self.gain.mean())
            found["category mean"] = np.array([self.category_gain.get(name, overall) for name in prompts.categories])
        return found

    def _neighbours(self, places: Doubles) -> Doubles:
        """Average the gain of the nearest known prompts, weighted by the cube of their cosine."""
        near = min(NEIGHBOURS, len(self.known))
        parts = []
        for start in range(0, len(places), SCORED_AT_ONCE):
            cosine = places[start : start + SCORED_AT_ONCE] @ self.known.T
            at = np.argpartition(-cosine, near - 1, axis=1)[:, :near]
            weight = np.take_along_axis(cosine, at, axis=1).clip(0.0) ** 3
            parts.append((weight * self.gain[at]).sum(axis=1) / (weight.sum(axis=1) + 1e-9))
        return np.concatenate(parts)


def _shapes(texts: Sequence[str]) -> Doubles:
    """Measure length, numbers, punctuation and vocabulary of each text, (n, S)."""
    return np.array([_shape(text) for text in texts])


def _shape(text: str) -> list[float]:
    words = text.split() or [""]
    return [
        float(np.log1p(len(text))),
        float(np.log1p(len(words))),
        float(len(_NUMBER.findall(text))),
        float(len(_NAME.findall(text))),
        float(len(_SIGN.findall(text))),
        *(float(text.count(mark)) for mark in "?.,%$"),
        float("_" in text),
        float(np.mean([len(word) for word in words])),
        len(set(words)) / len(words),
        sum(len(word) > 8 for word in words) / len(words),
    ]


def _squared(shapes: Doubles) -> Doubles:
    return np.hstack([shapes, shapes**2])


def _unit(rows: Doubles) -> Doubles:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), dtype=np.float64)


def _joined(bags: Any, shapes: Doubles, categories: Sequence[str] | None, known: Sequence[str]) -> Any:  # noqa: ANN401
    """Lay words, categories and shape side by side; an unknown category is none."""
    from scipy import sparse  # noqa: PLC0415 - training only

    parts = [bags, sparse.csr_matrix(shapes * SHAPE_SCALE)]
    if known:
        names = np.array(categories if categories is not None else [""] * len(shapes))
        parts.append(sparse.csr_matrix((names[:, None] == np.array(known)[None, :]).astype(np.float64)))
    return sparse.hstack(parts, format="csr")


def _category_gain(categories: Sequence[str] | None, gain: Doubles) -> dict[str, float]:
    """Average the gain by category, shrunk towards the overall mean; {} without categories."""
    if categories is None:
        return {}
    names, overall = np.array(categories), float(gain.mean())
    sums = {str(name): gain[names == name] for name in np.unique(names)}
    return {name: float((own.sum() + SHRINK * overall) / (own.size + SHRINK)) for name, own in sums.items()}
