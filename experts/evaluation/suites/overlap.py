"""How much of a reference text an answer shares: ROUGE-L for each answer, BLEU for all of them together.

Used by the chat suite, as proxies for how much editing an answer needs. ROUGE-L is the F1 of the longest common
subsequence of words (Lin 2004); words are Unicode's, where Google's rouge_score drops every letter outside a-z. BLEU is
sacrebleu's, over the corpus, with an interval by resampling answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from experts.evaluation.suites.scores import Score

_WORD = re.compile(r"\w+")
_RESAMPLES = 1000


def rouge_l(answer: str, reference: str) -> float:
    """Return ROUGE-L's F1, 0..1."""
    made, wanted = _words(answer), _words(reference)
    common = _common(made, wanted)
    if common == 0:
        return float(made == wanted)
    precision, recall = common / len(made), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def corpus_bleu(answers: Sequence[str], references: Sequence[str], seed: int) -> Score:
    """Return corpus BLEU, 0..100, with the percentile bootstrap's 95 % interval."""
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415  # only this suite needs it

    bleu = BLEU(effective_order=True)
    found = [bleu.sentence_score(answer, [reference]) for answer, reference in zip(answers, references, strict=True)]
    counts = np.array([[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in found])  # (n, 10)

    def score(rows: np.ndarray) -> float:
        correct, total, lengths = np.split(rows.sum(axis=0), [4, 8])
        made, wanted = (int(length) for length in lengths)
        return float(BLEU.compute_bleu(correct.tolist(), total.tolist(), made, wanted).score)

    rng, n = np.random.default_rng(seed), len(counts)
    resampled = [score(counts[rng.integers(0, n, n)]) for _ in range(_RESAMPLES)]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Score(score(counts), float(low), float(high), n)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for place, other in enumerate(right, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
