"""Fitting of the weights that read system prompts (`system_prompt.SystemHead`).

`train` calls this. What the network says of the user's words is given, as it would say it of words it never learned
from; what is learned is how a system prompt changes it. Rows are of four kinds, by tag. Under an `any` prompt
("translate what the user writes") the label holds whatever the user says, so more users' turns are drawn for it. A
`neutral` prompt is to move nothing, which is asked of each of its sentences. Rows of `task` and `domain` prompts are
learned as they are; for the latter, turns are drawn that the words alone decide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from router.features.conversation import SYSTEM_ROLES, Turn
from router.features.featurize import BUCKETS, RouteQuery
from router.model.gate import sigmoid
from router.model.network import Network
from router.model.system_prompt import LOUDEST, SystemHead, numbers, read_sentence, sentences
from router.training.crossval import truth
from router.training.dataset import Row
from router.training.heads import Doubles

SYSTEM, ANY, DOMAIN, NEUTRAL = "system", "any", "domain", "neutral"  # tags
DRAWN = 12  # users' turns for an `any` prompt beside its own rows
CLEAR = 6  # users' turns for a `domain` prompt that the words alone decide
LEAST_PROMPTS = 2  # an n-gram that fewer prompts hold is left out
STEPS, RATE = 300, 0.03
DECAY = 5e-5  # of the weights
STILL = 0.002  # what the square of a neutral sentence's effect costs
Score = Callable[[Sequence[Row]], Doubles]  # log-odds of users' words, (n, C)


@dataclass(frozen=True, slots=True)
class _Data:
    """Rows as numbers: `phi` (S, F) of sentences, `of` (P, S) of prompts, `prompt` of each row (n,)."""

    phi: Any
    of: Any
    prompt: np.ndarray[Any, np.dtype[np.int64]]
    raw: Doubles
    target: Doubles
    weight: Doubles
    still: Doubles  # (S,), 1 for sentences of neutral prompts


def is_system_row(row: Row) -> bool:
    """Say whether a row was written for the system prompt: its words alone need not deserve its label."""
    return SYSTEM in row.tags


def bare(row: Row) -> Row:
    """Leave the system prompt out: what the user's words alone say."""
    return replace(row, query=RouteQuery(tuple(turn for turn in row.query.turns if turn.role not in SYSTEM_ROLES)))


def prompted(rows: Sequence[Row], plain: Sequence[Row], seed: int) -> list[Row]:
    """Collect rows with a system prompt, and draw users' turns out of `plain` for prompts that hold for many."""
    own = [row for row in rows if row.query.thread.system and not row.query.has_tools]
    generator = np.random.default_rng(seed)
    made: list[Row] = []
    by_language: dict[str, list[Row]] = {}
    for row in plain:
        by_language.setdefault(row.tags[0] if row.tags else "", []).append(row)
    for row in {row.query.thread.system: row for row in own}.values():
        kind = ANY if ANY in row.tags else DOMAIN if DOMAIN in row.tags else None
        near = by_language.get(row.tags[0] if row.tags else "", [])
        if kind is None or not plain:
            continue
        for _ in range(DRAWN if kind == ANY else CLEAR):
            among = near if near and generator.random() < 0.5 else plain
            drawn = among[int(generator.integers(len(among)))]
            turns = (Turn("system", row.query.thread.system), *drawn.query.turns)
            labels = row.labels if kind == ANY else drawn.labels
            made.append(Row(row.source, RouteQuery(turns), labels, (*row.tags, "drawn")))
    return [*own, *made]


def fit_system(rows: Sequence[Row], classes: Sequence[str], network: Network, score: Score) -> SystemHead | None:
    """Fit it on rows with system prompts; None where there are none."""
    if not rows:
        return None
    known, data = _read(rows, classes, network, score)
    weights = _descend(data, len(classes))
    return SystemHead(known, weights[: len(known)].astype(np.float32), weights[len(known) :].astype(np.float32))


def _read(rows: Sequence[Row], classes: Sequence[str], network: Network, score: Score) -> tuple[Any, _Data]:
    """Turn rows into numbers."""
    from scipy import sparse  # noqa: PLC0415 - training only

    prompts = list(dict.fromkeys(row.query.thread.system for row in rows))
    said = [sentences(prompt) for prompt in prompts]
    distinct = {sentence: at for at, sentence in enumerate(dict.fromkeys(one for parts in said for one in parts))}
    read = [read_sentence(sentence) for sentence in distinct]
    hashed = sparse.csr_matrix(
        (
            np.concatenate([one.values for one in read]),
            np.concatenate([one.indices for one in read]),
            np.cumsum([0, *(len(one.indices) for one in read)]),
        ),
        shape=(len(read), BUCKETS),
    )
    hashed.sum_duplicates()
    places = [(at, distinct[one]) for at, parts in enumerate(said) for one in parts]
    of = sparse.csr_matrix((np.ones(len(places)), tuple(zip(*places, strict=True))), shape=(len(prompts), len(read)))
    held = (of @ (hashed > 0).astype(np.float64) > 0).getnnz(axis=0)
    known = np.flatnonzero(held >= LEAST_PROMPTS).astype(np.int32)
    phi = sparse.hstack(
        [hashed[:, known], sparse.csr_matrix(np.stack([numbers(one, network) for one in read]))], format="csr"
    )
    at = {prompt: place for place, prompt in enumerate(prompts)}
    neutral = {row.query.thread.system for row in rows if NEUTRAL in row.tags}
    still = np.asarray(of.T @ np.array([float(prompt in neutral) for prompt in prompts])) > 0
    return known, _Data(
        phi,
        of,
        np.array([at[row.query.thread.system] for row in rows]),
        score([bare(row) for row in rows]),
        truth(rows, classes).astype(np.float64),
        _weights(rows),
        still.astype(np.float64),
    )


def _weights(rows: Sequence[Row]) -> Doubles:
    """Weigh rows, mean 1: every prompt counts by the square root of its rows, and rows drawn for it half."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.query.thread.system] = counts.get(row.query.thread.system, 0) + 1
    raw = np.array([counts[row.query.thread.system] ** -0.5 * (0.5 if "drawn" in row.tags else 1.0) for row in rows])
    return np.asarray(raw / raw.mean())


def _descend(data: _Data, count: int) -> Doubles:
    """Descend with Adam (Kingma and Ba 2015) over all rows at once; (F, C + 1)."""
    weights = np.zeros((data.phi.shape[1], count + 1))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        slope = _slope(weights, data)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        weights -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return weights


def _slope(weights: Doubles, data: _Data) -> Doubles:
    """Differentiate the loss: log loss of each class, and the square of what is to be still or small."""
    said = data.phi @ weights
    total = data.of @ said
    shift = LOUDEST * np.tanh(total[:, :-1] / LOUDEST)
    keep = np.exp(-np.maximum(total[:, -1], 0.0))
    logits = data.raw * keep[data.prompt, None] + shift[data.prompt]
    error = (sigmoid(logits) - data.target) * data.weight[:, None] / len(data.prompt)
    of_total = np.zeros_like(total)
    np.add.at(of_total[:, :-1], data.prompt, error)
    of_total[:, :-1] *= 1.0 - (shift / LOUDEST) ** 2
    lost = np.zeros(len(keep))
    np.add.at(lost, data.prompt, (error * data.raw).sum(axis=1))
    of_total[:, -1] = np.where(total[:, -1] >= 0.0, -keep * lost, np.minimum(0.0, -lost))
    of_said = data.of.T @ of_total + 2.0 * STILL * data.still[:, None] * said
    return np.asarray(data.phi.T @ of_said + DECAY * weights * 2.0)
