"""The head that tells a follow-up ("shorter", "and in French?") from a request that stands alone.

`train` fits it on the newest user turns of the seeds: tagged follow-ups against turns that start something new. The
gate asks it only inside conversations; `conversation.shares` turns its answers into weights of turns.
"""

from collections.abc import Sequence

import numpy as np

from router.features.featurize import featurize_turn
from router.training.dataset import Row
from router.training.heads import Bools, Doubles, Head, design_matrix, fit_head

FOLLOW_UP = "followup"
FIRST_SHARE = (
    0.5  # what all first turns weigh together beside the changes of subject: they stand alone too, but say less
)
STRENGTH = 1.0


def fit_leaning(rows: Sequence[Row], seed: int) -> Head:
    """Fit it; with no conversation among the seeds nothing ever leans."""
    seeds = [row for row in rows if row.is_seed]
    inside = np.array([len(row.query.thread.said) > 1 for row in seeds], dtype=np.bool_)
    target = np.array([FOLLOW_UP in row.tags for row in seeds], dtype=np.bool_)
    kept = np.flatnonzero(inside | ~target)
    if not (target & inside).any():
        return Head.never()
    matrix = design_matrix([featurize_turn(seeds[at].query.thread.said[0]) for at in kept])
    weight = _weights(inside[kept], target[kept])
    return fit_head(matrix, target[kept], weight / weight.mean(), STRENGTH, seed)


def _weights(inside: Bools, target: Bools) -> Doubles:
    """Weigh turns (n,): 1 inside conversations, all first turns together `FIRST_SHARE` of the changes of subject.

    A fixed weight for each first turn made the head deafer with every seed that is no conversation: at 7,000 of them it
    heard two of three follow-ups.
    """
    changes = int((inside & ~target).sum()) or int(target.sum())
    first = FIRST_SHARE * changes / max(1, int((~inside).sum()))
    return np.where(inside, 1.0, first)
