"""Whether a turn is about a subject that a few examples show, on what the router read of it: its meaning.

A turn is as near to the subject as to the nearest three examples, in a space where what people ask in general has
variance one. The threshold comes from the examples themselves: each is scored by the others, and the k-th lowest of n
scores is chosen such that a further question of the same kind lies below it with a probability of about k / (n + 1)
(conformal prediction, Vovk et al. 2005, by leaving one out).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router.features.featurize import Features, featurize_turn
from router.features.structure import STRUCTURE_NAMES, Floats
from router.features.word_vectors import SIZE

NEAREST: Final = 3
_MEANING: Final = len(STRUCTURE_NAMES)


class TooFewExamples(ValueError):
    """The stated rate cannot be held with so few."""


@dataclass(frozen=True, slots=True)
class Background:
    """What people ask in general.

    Attributes:
        mean: of meaning, (SIZE,).
        whitening: from meaning to numbers of variance one, (SIZE, SIZE).
    """

    mean: Floats
    whitening: Floats

    def read(self, features: Features) -> Floats:
        """Return a turn's meaning in that space, of length 1, (SIZE,); zeros where nothing is known of its words."""
        meaning = features.dense[_MEANING : _MEANING + SIZE]
        if not meaning.any():
            return np.zeros(SIZE, dtype=np.float32)
        told = (meaning - self.mean) @ self.whitening
        return np.asarray(told / max(1e-6, float(np.sqrt(told @ told))), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject.

    Attributes:
        background: what is general.
        examples: each of length 1, (n, SIZE).
        threshold: a turn below it is about something else.
        rate: of questions like the examples, the share refused, in expectation.
    """

    background: Background
    examples: Floats
    threshold: float
    rate: float

    @classmethod
    def of(cls, examples: Sequence[str], rate: float, background: Background) -> "Topic":
        """Make one.

        Raises:
            TooFewExamples: `rate` is below 1 / (n + 1).
        """
        distinct = list(dict.fromkeys(examples))
        place = math.floor(rate * (len(distinct) + 1))
        if place < 1:
            raise TooFewExamples(f"a rate of {rate:g} needs at least {math.ceil(1 / rate) - 1} different examples")
        read = np.stack([background.read(featurize_turn(example)) for example in distinct])
        scores = sorted(_nearest(np.delete(read, at, axis=0) @ read[at]) for at in range(len(read)))
        return cls(background, read, scores[place - 1], place / (len(distinct) + 1))

    def score(self, features: Features) -> float:
        """Say how near a turn is to the subject, -1..1."""
        return _nearest(self.examples @ self.background.read(features))

    def covers(self, features: Features) -> bool:
        """Say whether a turn is about the subject."""
        return self.score(features) >= self.threshold


def background_of(dense: Floats, *, shrinkage: float = 0.3) -> Background:
    """Measure what is general on many turns' dense features, (n, D)."""
    meaning = dense[:, _MEANING : _MEANING + SIZE].astype(np.float64)
    covariance = np.cov(meaning.T)
    covariance += shrinkage * np.trace(covariance) / SIZE * np.eye(SIZE)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors @ np.diag(values**-0.5) @ vectors.T
    return Background(meaning.mean(axis=0).astype(np.float32), whitening.astype(np.float32))


def _nearest(near: Floats) -> float:
    """Average the nearest few."""
    return float(np.sort(near)[-NEAREST:].mean())
