"""Questions with passages out of many sources, in one shape: what the researcher's recipe draws from.

Each source is a file of `experts/researcher/` in the data folder. Two sources are never read here, to measure on whole:
`squadshifts_amazon` and `policyqa`; of XQuAD's articles a dozen are left out as well (`HELD_OUT`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import one_shape

HELD_OUT: Final = 12
"""XQuAD's articles that are never trained on: the first of the order that `make_grounded_qa --seed 0` draws."""
YES_NO: Final = frozenset({"yes", "no"})
_MOST_WORDS: Final = 10  # of an answer, where there is a choice
LONGEST: Final = 1300  # characters of a passage


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, and the article that it comes from."""

    title: str
    text: str
    article: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answer, and the passages that hold it.

    Attributes:
        answer: empty where its passages are known to hold none.
        others: passages that its source shows beside the right ones.
    """

    text: str
    answer: str
    language: str
    gold: tuple[Passage, ...]
    others: tuple[Passage, ...] = ()


def read_questions(folder: Path, source: str) -> list[Question]:
    """Read what can be learnt from of a source; passages that are too long leave their question out.

    Raises:
        RowError: a file cannot be read.
        BadSample: a row has another shape.
    """
    with one_shape(source):
        found = list(SOURCES[source](folder))
    return [one for one in found if all(len(passage.text) <= LONGEST for passage in one.gold)]


def _squad(*files: str, titled: bool) -> Callable[[Path], Iterator[Question]]:
    """Read SQuAD's shape; titles that name no article (a file of reviews, say) are left out."""

    def read(folder: Path) -> Iterator[Question]:
        for row in (row for file in files for row in read_rows(folder / f"{file}.jsonl.gz")):
            if row["answers"] and not row.get("impossible"):
                title = row["title"].replace("_", " ") if titled else ""
                passage = Passage(title, row["context"], row["title"] or row["context"])
                yield Question(row["question"], _fullest(row["answers"]), row.get("lang", "en"), (passage,))

    return read


def _xquad(language: str) -> Callable[[Path], Iterator[Question]]:
    def read(folder: Path) -> Iterator[Question]:
        rows = read_rows(folder / "xquad_en_de_es.jsonl.gz")
        questions = [_xquad_question(row) for row in rows]
        learnt = set(article_order(rows, seed=0)[HELD_OUT:])
        yield from (one for one in questions if one.language == language and one.gold[0].article in learnt)

    return read


def _xquad_question(row: Any) -> Question:  # JSON
    passage = Passage(row["title"].replace("_", " "), row["context"], str(row["article"]))
    return Question(row["question"], _first_text(row["answers"]), row["lang"], (passage,))


def _beerqa(folder: Path) -> Iterator[Question]:
    """Read questions whose answer is in their passages, or yes or no; others are not learnt from."""
    for row in read_rows(folder / "beerqa_1000.jsonl.gz"):
        merged: dict[str, str] = {}
        for title, text in row["context"]:
            merged[title] = f"{merged.get(title, '')} {text}".strip()
        passages = [Passage(title, text, title) for title, text in merged.items()]
        answer = _first_text(row["answers"])
        if answer in YES_NO or any(matches(one.text, [answer], "en") for one in passages):
            # What leads to the answer is cited beside what holds it.
            yield Question(row["question"], answer, "en", tuple(passages))


def _hops(file: str) -> Callable[[Path], Iterator[Question]]:
    """Read questions over several gold passages, with the distractors that their source gives them."""

    def read(folder: Path) -> Iterator[Question]:
        for row in read_rows(folder / f"{file}.jsonl.gz"):
            gold = set(row.get("gold_titles") or [one["title"] for one in row["passages"] if one.get("gold")])
            passages = [Passage(one["title"], one["text"], one["title"]) for one in row["passages"]]
            right = tuple(one for one in passages if one.title in gold)
            answer = row["answer"]
            if right and (answer in YES_NO or any(matches(one.text, [answer], "en") for one in right)):
                others = tuple(one for one in passages if one.title not in gold and len(one.text) <= LONGEST)
                yield Question(row["question"], answer, "en", right, others)

    return read


def _condaqa(folder: Path) -> Iterator[Question]:
    for row in read_rows(folder / "condaqa_dev.jsonl.gz"):
        answer = row["answers"][0].lower()
        if answer in YES_NO or answer == "don't know":
            passage = Passage("", row["context"], row["context"])
            yield Question(row["question"], answer if answer in YES_NO else "", "en", (passage,))


def _pubmed(folder: Path) -> Iterator[Question]:
    for row in read_rows(folder / "pubmedqa_labeled.jsonl.gz"):
        if row["answer"] in YES_NO:
            text = row["passages"][-1]
            yield Question(row["question"], row["answer"], "en", (Passage("", text["text"], row["id"]),))


def _fullest(answers: Any) -> str:  # JSON
    """Return the longest of the answers that people marked: short ones teach to break off ("30" of "30 to 50")."""
    short = [text for text in answers if len(text.split()) <= _MOST_WORDS]
    return str(max(short, key=len) if short else answers[0])


def _first_text(answers: Any) -> str:  # JSON
    first = (answers["text"] if isinstance(answers, dict) else answers)[0]
    return str(first["text"] if isinstance(first, dict) else first)


SOURCES: Final[Mapping[str, Callable[[Path], Iterator[Question]]]] = MappingProxyType(
    {
        "squadshifts_new_wiki": _squad("squadshifts_new_wiki", titled=True),
        "squadshifts_reddit": _squad("squadshifts_reddit", titled=False),
        "fairytaleqa": _squad("fairytaleqa_train", titled=True),
        "qamr": _squad("qamr_dev", titled=False),
        "xquad_en": _xquad("en"),
        "xquad_de": _xquad("de"),
        "xquad_es": _xquad("es"),
        "beerqa": _beerqa,
        "hotpotqa": _hops("hotpotqa_distractor_train500"),
        "condaqa": _condaqa,
        "pubmedqa": _pubmed,
    }
)
