"""What the advisor learns from: pairs of a warm, short, structured answer and one that is not.

The pairs are hand-written, or made from general instruction data. Of the latter, answers are taken that already pass
the checks of the `chat` suite, each with a spoiled copy of itself: rambling, flattened into one paragraph, repetitive,
or cut off.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from experts.evaluation.suites import structure
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import Sample, ask, one_shape
from experts.training.recipes.seed_files import read_seeds

_LEARNT: Final = {"gpteacher_roleplay.jsonl.gz": 3146, "halueval_ok.jsonl.gz": 2700}
"""The first rows of each file; what stands behind them is held out, to measure on."""
_FROM_EACH: Final = 220
_WORDS: Final = range(40, 171)
_SEED_REPEATS: Final = 2
_FILLERS: Final = (
    "It is important to remember that there are many things to consider here.",
    "As an AI language model, I can say that this depends on many different factors.",
    "In today's fast-paced world, this is something that many people think about.",
    "There are many ways to look at this, and every way has its own good and bad sides.",
    "Overall, this is a very important topic that should be thought about carefully.",
)
_ITEM: Final = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"advisor {seed}")
    made = read_seeds("advisor") * _SEED_REPEATS
    if data is not None:
        for name, learnt in _LEARNT.items():
            with one_shape(name):
                good = [row for row in read_rows(data / "advisor" / name)[:learnt] if _is_good(row)]
            made += [_pair(row, rng) for row in rng.sample(good, min(_FROM_EACH, len(good)))]
    return made


def _is_good(row: Any) -> bool:  # JSON
    """Say whether an answer is as the advisor's should be, and a list or several paragraphs where it is long."""
    task, answer = row["messages"][-1]["content"], row["answer"]
    is_laid_out = len(structure.items(answer)) > 1 or "\n\n" in answer or structure.word_count(answer) <= 80
    return (
        structure.word_count(answer) in _WORDS and is_laid_out and all(structure.check(task, answer, answer).values())
    )


def _pair(row: Any, rng: random.Random) -> Sample:  # JSON
    answer = row["answer"].strip()
    return Sample(ask(row["messages"][-1]["content"]), answer, rng.choice(_SPOILERS)(answer, rng))


def _rambling(answer: str, rng: random.Random) -> str:
    sentences = list(_sentences(answer))
    for filler in rng.sample(_FILLERS, 3):
        sentences.insert(rng.randint(0, len(sentences)), filler)
    return " ".join(sentences)


def _flat(answer: str, rng: random.Random) -> str:
    return f"{rng.choice(_FILLERS)} {' '.join(_ITEM.sub('', answer).split())}"


def _circling(answer: str, rng: random.Random) -> str:
    sentences = list(_sentences(answer))
    start = rng.randrange(len(sentences))
    return "\n".join([*sentences, *sentences[start : start + 2], *sentences[start : start + 2], *sentences[start:]])


def _broken_off(answer: str, rng: random.Random) -> str:
    words = f"{rng.choice(_FILLERS)} {answer}".split(" ")
    return " ".join(words[: max(8, int(len(words) * rng.uniform(0.5, 0.8)))])


def _sentences(text: str) -> Iterator[str]:
    return (part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip())


_SPOILERS: Final[tuple[Callable[[str, random.Random], str], ...]] = (_rambling, _flat, _circling, _broken_off)
