"""Makes rows of the `grounded_qa` suite: `python -m experts.evaluation.suites.make_grounded_qa --data FILE --out FILE`.

Reads JSON lines in SQuAD's form `{question, answers, context, title, lang?, article?}` (XQuAD's, and BeerQA's rows with
one passage). Each question gets the passage that holds its answer and passages of other articles in the same language,
shuffled. A share of the questions gets only the others and cannot be answered. No distractor holds a gold answer.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import Row, RowError, read_rows, sample


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of an article."""

    title: str
    text: str
    language: str
    article: str  # what tells articles apart across languages


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the passage that answers it."""

    name: str
    text: str
    answers: tuple[str, ...]
    passage: Passage


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are made."""

    passages: int = 4  # shown with each question
    unanswerable: float = 0.3  # share of questions without their gold passage
    longest: int = 2400  # characters; a longer passage is no one's


def read_questions(rows: Sequence[Row], longest: int) -> list[Question]:
    """Read SQuAD-shaped rows; those with several passages, or one that is too long, are left out.

    Raises:
        RowError: a row has another shape.
    """
    questions = []
    for index, row in enumerate(rows):
        passages = _passages(row, index)
        if len(passages) == 1 and len(passages[0].text) <= longest:
            name = str(row.get("id", index))
            questions.append(Question(name, str(row.get("question", "")), _answers(row, index), passages[0]))
    return questions


def article_order(rows: Sequence[Row], seed: int) -> list[str]:
    """Shuffle the articles of SQuAD-shaped rows: who takes the first n and who skips them share none.

    The order rests on the whole file, whatever is left out of it later by language or length.
    """
    known = {passage.article for index, row in enumerate(rows) for passage in _passages(row, index)}
    ordered = sorted(known, key=lambda name: (len(name), name))
    return random.Random(f"articles {seed}").sample(ordered, len(ordered))


def make_rows(questions: Sequence[Question], pool: Sequence[Question], plan: Plan, seed: int) -> list[Row]:
    """Make a row of each question, with distractors out of `pool`.

    Raises:
        RowError: the pool has too few passages of other articles.
    """
    rng = random.Random(f"rows {seed}")
    by_language: dict[str, list[Passage]] = {}
    for passage in dict.fromkeys(question.passage for question in pool):
        by_language.setdefault(passage.language, []).append(passage)
    hidden = set(rng.sample(range(len(questions)), round(plan.unanswerable * len(questions))))
    return [
        _row(question, by_language.get(question.passage.language, []), plan.passages, index not in hidden, rng)
        for index, question in enumerate(questions)
    ]


def _row(question: Question, pool: Sequence[Passage], size: int, answerable: bool, rng: random.Random) -> Row:
    shown = _distractors(question, pool, size - answerable, rng)
    if answerable:
        shown.append(question.passage)
    rng.shuffle(shown)
    return {
        "id": question.name,
        "lang": question.passage.language,
        "article": question.passage.article,
        "question": question.text,
        "answers": list(question.answers),
        "passages": [{"title": passage.title, "text": passage.text} for passage in shown],
        "gold": shown.index(question.passage) + 1 if answerable else None,
        "answerable": answerable,
    }


def _distractors(question: Question, pool: Sequence[Passage], count: int, rng: random.Random) -> list[Passage]:
    found: list[Passage] = []
    for passage in rng.sample(pool, len(pool)):
        if len(found) == count:
            break
        is_other = passage.article != question.passage.article
        if is_other and passage not in found and not matches(passage.text, question.answers, passage.language):
            found.append(passage)
    if len(found) < count:
        raise RowError(f"{question.name}: there are not {count} passages of other articles without its answer")
    return found


def _passages(row: Row, index: int) -> list[Passage]:
    language = str(row.get("lang", "en"))
    match row.get("context"):
        case str(text):
            title = str(row.get("title", "")).replace("_", " ")
            return [Passage(title, text, language, str(row.get("article", title)))]
        case [*pairs] if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            return [Passage(str(title), str(text), language, str(title)) for title, text in pairs]
        case _:
            raise RowError(f"row {index}: context is neither a text nor pairs of title and text")


def _answers(row: Row, index: int) -> tuple[str, ...]:
    """Read `["text"]`, `[{"text": ...}]` or SQuAD's columns `{"text": [...]}`."""
    answers: Any = row.get("answers")
    if isinstance(answers, dict):
        answers = answers.get("text")
    texts: list[Any] = [one.get("text") if isinstance(one, dict) else one for one in answers or ()]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"row {index}: there are no answers")
    return tuple(dict.fromkeys(texts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    options = _parse(arguments)
    try:
        claim(options.out, nothing)  # people write rows of this form, too
        rows = [row for path in options.data for row in read_rows(path)]
        kept = set(article_order(rows, options.seed)[options.skip_articles :][: options.articles])
        questions = read_questions(rows, options.longest)
        questions = [q for q in questions if not options.language or q.passage.language in options.language]
        pool = [question for question in questions if question.passage.article in kept]
        plan = Plan(options.passages, options.unanswerable, options.longest)
        made = make_rows(sample(pool, options.limit, options.seed), pool, plan, options.seed)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made).encode()
        write(options.out, gzip.compress(lines) if options.out.suffix == ".gz" else lines)
    except (RowError, NotOurs, OSError) as error:
        complain(error)
        return 1
    answerable = sum(row["answerable"] for row in made)
    print(f"{len(made)} rows of {len({row['article'] for row in made})} articles, {answerable} answerable")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experts.evaluation.suites.make_grounded_qa", description=main.__doc__
    )
    plan = Plan()
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="SQuAD-shaped rows, .jsonl or .jsonl.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=plan.passages, help="shown with each question")
    parser.add_argument("--unanswerable", type=float, default=plan.unanswerable, help="share without the gold passage")
    parser.add_argument("--longest", type=int, default=plan.longest, help="characters of a passage at most")
    parser.add_argument("--language", action="append", default=[], help="only these; may be repeated")
    parser.add_argument("--skip-articles", type=int, default=0, help="leave out so many, in the seed's order")
    parser.add_argument("--articles", type=int, help="then take so many (default: the rest)")
    parser.add_argument("--limit", type=int, help="at most so many rows")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
