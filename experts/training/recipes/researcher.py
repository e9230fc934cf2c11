"""What the researcher learns from: XQuAD in three languages, BeerQA, and hand-written seeds.

Each question comes with numbered documents in random order: the one (with BeerQA, the few) that hold the answer, and
others that do not, half of them from the same article if possible. In a share of the rows the right ones are missing,
and the answer is the one sentence that says so. Twelve of XQuAD's 48 articles are held out completely, for measurement
(`HELD_OUT`); BeerQA's file is used completely.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import Sample, ask
from experts.training.recipes.seed_files import read_seeds
from protos import chat_pb2

HELD_OUT: Final = 12
"""XQuAD's articles that are never trained on: the first of the order that `make_grounded_qa --seed 0` draws."""
_QUESTIONS: Final = {"en": 400, "de": 250, "es": 250}
_BEERQA: Final = 600
_LONGEST: Final = 1300  # characters of a document
_UNANSWERABLE: Final = 0.2
_YES_NO: Final = frozenset({"yes", "no"})
_SEED_REPEATS: Final = 2


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, and the article that it comes from."""

    title: str
    text: str
    article: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answer, and the passages that hold it."""

    text: str
    answer: str
    language: str
    gold: tuple[Passage, ...]


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"researcher {seed}")
    made = read_seeds("researcher") * _SEED_REPEATS
    if data is not None:
        for questions in _sources(data / "researcher", rng):
            pool = list(dict.fromkeys(passage for question in questions for passage in question.gold))
            made += [_sample(question, pool, rng) for question in questions]
    return made


def _sources(folder: Path, rng: random.Random) -> Iterator[list[Question]]:
    """Yield groups of questions whose passages may stand beside each other: those of one language."""
    rows = read_rows(folder / "xquad_en_de_es.jsonl.gz")
    learnt = set(article_order(rows, seed=0)[HELD_OUT:])
    for language, count in _QUESTIONS.items():
        found = [_xquad(row) for row in rows if row["lang"] == language and str(row["article"]) in learnt]
        yield rng.sample(found, min(count, len(found)))
    beerqa = [question for row in read_rows(folder / "beerqa_1000.jsonl.gz") if (question := _beerqa(row))]
    yield rng.sample(beerqa, min(_BEERQA, len(beerqa)))


def _xquad(row: Any) -> Question:  # JSON
    passage = Passage(row["title"].replace("_", " "), row["context"], str(row["article"]))
    return Question(row["question"], _first_text(row["answers"]), row["lang"], (passage,))


def _beerqa(row: Any) -> Question | None:  # JSON
    """Read a question whose answer is in its passages, or yes or no; others are not learnt from."""
    merged: dict[str, str] = {}
    for title, text in row["context"]:
        merged[title] = f"{merged.get(title, '')} {text}".strip()
    passages = [Passage(title, text, title) for title, text in merged.items()]
    answer = _first_text(row["answers"])
    gold = passages if answer in _YES_NO else [one for one in passages if matches(one.text, [answer], "en")]
    if not gold or any(len(passage.text) > _LONGEST for passage in passages):
        return None
    # What leads to the answer is cited beside what holds it.
    return Question(row["question"], answer, "en", tuple(passages))


def _first_text(answers: Any) -> str:  # JSON
    first = (answers["text"] if isinstance(answers, dict) else answers)[0]
    return str(first["text"] if isinstance(first, dict) else first)


def _sample(question: Question, pool: Sequence[Passage], rng: random.Random) -> Sample:
    answerable = rng.random() >= _UNANSWERABLE
    gold = list(question.gold) if answerable else []
    shown = gold + _distractors(question, pool, rng.randint(1, 3) if gold else rng.randint(2, 4), rng)
    rng.shuffle(shown)
    documents = [chat_pb2.Document(title=passage.title, text=passage.text) for passage in shown]
    marks = "".join(f"[{n}]" for n, passage in enumerate(shown, 1) if passage in gold)
    answer = f"{_sentence(question.answer)} {marks}." if answerable else UNKNOWN[question.language]
    return Sample(ask(question.text, documents=documents), answer)


def _sentence(answer: str) -> str:
    text = answer.strip().rstrip(".")
    return text[:1].upper() + text[1:] if text[:1].islower() and text.lower() in _YES_NO else text


def _distractors(question: Question, pool: Sequence[Passage], count: int, rng: random.Random) -> list[Passage]:
    """Draw passages without the answer; near ones (of the same article) first, up to half."""
    articles = {passage.article for passage in question.gold}
    usable = [
        passage
        for passage in rng.sample(pool, len(pool))
        if passage not in question.gold
        and len(passage.text) <= _LONGEST
        and not matches(passage.text, [question.answer], question.language)
    ]
    near = [passage for passage in usable if passage.article in articles][: (count + rng.randint(0, 1)) // 2]
    far = [passage for passage in usable if passage.article not in articles][: count - len(near)]
    return near + far
