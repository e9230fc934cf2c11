"""What the researcher learns from: questions over documents out of many sources, and questions without documents.

Most questions come in groups: up to three passages are shown, and questions of each of them are asked, so that the
answer stands at every position; and some of passages that are not shown, to which the one sentence that says so is the
answer. Questions over the same documents share their beginning in training (`experts.training.share`), which makes five
of them as cheap as one. Others come alone among up to ten documents, most of them near to the question, as a search
would bring them: rendering shows the nearest few (`experts.conversation.ranking`), and where that loses the right one,
the answer says so too. Questions without documents are answered plainly. `experts.training.recipes.passages` says what
is held out.

An answer over documents begins with its outcome (`experts.conversation.outcomes`): the numbers of its sources, or the
mark of not knowing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experts.conversation.outcomes import MARKS, cited_first
from experts.conversation.ranking import best
from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.passages import LONGEST, YES_NO, Passage, Question, read_questions
from experts.training.recipes.sample import Sample, ask, one_shape
from experts.training.recipes.seed_files import read_seeds
from protos import chat_pb2

SHOWN: Final = 3
"""Documents that rendering shows: the catalogue's `max_documents`."""
_GROUPS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "squadshifts_new_wiki": 100,
        "squadshifts_reddit": 55,
        "fairytaleqa": 18,
        "qamr": 40,
        "xquad_en": 30,
        "xquad_de": 5,
        "xquad_es": 5,
        "condaqa": 10,
    }
)
"""Groups of questions made of each source."""
_ALONE: Final[Mapping[str, int]] = MappingProxyType(
    {"squadshifts_new_wiki": 36, "squadshifts_reddit": 24, "beerqa": 30, "hotpotqa": 50, "pubmedqa": 5}
)
"""Questions asked alone of each source."""
_SIZES: Final = (1, 1, 2, 3, 3, 3)  # passages of a group, drawn at random
_OF_EACH: Final = 3  # questions of a shown passage, at most
_STRANGE: Final[Mapping[int, Sequence[int]]] = MappingProxyType({1: (0, 0, 1), 2: (1, 1, 2), 3: (2, 2, 3)})
"""Questions of passages that are not shown, by how many are: beside one short document the answer mostly is there."""
_PLAIN: Final[Mapping[str, int]] = MappingProxyType(
    {
        "advisor/halueval_ok.jsonl.gz": 300,
        "retrieval/medquad_qa.jsonl.gz": 180,
        "researcher/hotpotqa_dev.jsonl.gz": 300,
        "researcher/strategyqa_train.jsonl.gz": 160,
    }
)
"""Questions without documents. They are many because their answers begin in many ways, and what must lose against them
begins in one: among fewer the likeliest first word is that of not knowing."""
_PLAIN_LETTERS: Final = range(2, 340)  # of such a question and its answer
_UNANSWERABLE: Final = 0.15  # of the questions alone; the ranking adds some
_OTHERS: Final = (1, 2, 4, 6, 9, 9)  # documents beside the right ones, drawn at random
_NEAR: Final = 0.7  # share of these that are the nearest of a handful
_HANDFUL: Final = 40
_SEEDS: Final = 60  # of the hand-written rows, where there is data
_CITED: Final = re.compile(r"\s*((?:\[\d+\])+)")


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"researcher {seed}")
    made = [outcome_first(seed) for seed in read_seeds("researcher")]
    if data is not None:
        made = rng.sample(made, _SEEDS)
        for source in dict.fromkeys((*_GROUPS, *_ALONE)):
            questions = read_questions(data / "researcher", source)
            made += _grouped(questions, _GROUPS.get(source, 0), rng)
            pool = list(dict.fromkeys(passage for question in questions for passage in question.gold))
            made += [_alone(one, pool, rng) for one in _drawn(questions, _ALONE.get(source, 0), rng)]
        made += _plain(data, rng)
    return made


def _drawn(questions: Sequence[Question], count: int, rng: random.Random) -> list[Question]:
    return rng.sample(questions, min(count, len(questions)))


def _plain(data: Path, rng: random.Random) -> list[Sample]:
    """Draw short questions with short answers, and no documents: facts, health, yes and no, anything."""
    sources: dict[str, Callable[[Any], tuple[str, str]]] = {
        "advisor/halueval_ok.jsonl.gz": lambda row: (row["messages"][-1]["content"], row["answer"]),
        "retrieval/medquad_qa.jsonl.gz": lambda row: (row["question"], first_sentences(row["answer"])),
        "researcher/hotpotqa_dev.jsonl.gz": lambda row: (row["question"], f"{_sentence(row['answer'])}."),
        "researcher/strategyqa_train.jsonl.gz": lambda row: (
            row["question"],
            f"{_sentence(row['answer'])}. {' '.join(row['facts'][:1])}",
        ),
    }
    made = []
    for name, read in sources.items():
        with one_shape(name):
            pairs = [read(row) for row in read_rows(data / name)]
        usable = [(text, answer.strip()) for text, answer in pairs if _is_plain(text, answer)]
        made += rng.sample(usable, min(_PLAIN[name], len(usable)))
    return [Sample(ask(text), answer) for text, answer in made]


def _is_plain(text: str, answer: str) -> bool:
    is_question = text.rstrip().endswith("?") and len(text) < _PLAIN_LETTERS[-1]
    return is_question and len(answer) in _PLAIN_LETTERS and "document" not in answer.lower() and "?" not in answer


def first_sentences(text: str) -> str:
    """Return the first two sentences."""
    return " ".join(re.split(r"(?<=[.!?])\s+", " ".join(text.split()))[:2])


def _grouped(questions: Sequence[Question], count: int, rng: random.Random) -> Iterator[Sample]:
    """Make groups, each over passages of its own."""
    by_passage: dict[Passage, list[Question]] = {}
    for question in questions:
        by_passage.setdefault(question.gold[0], []).append(question)
    left = rng.sample(list(by_passage), len(by_passage))
    for _ in range(count):
        if not left:
            return
        first = left.pop()
        near = best(by_passage[first][0].text, [_document(one) for one in left[-_HANDFUL:]], 5)
        handful = left[-_HANDFUL:]
        others = [handful[at] for at in near] if rng.random() < _NEAR else handful[:5]
        size = rng.choice(_SIZES)
        shown, strange = [first, *others[: size - 1]], others[size - 1 :]
        yield from _group(rng.sample(shown, len(shown)), strange, by_passage, rng)
        left = [passage for passage in left if passage not in shown]


def _group(
    shown: Sequence[Passage],
    strange: Sequence[Passage],
    questions: Mapping[Passage, Sequence[Question]],
    rng: random.Random,
) -> Iterator[Sample]:
    documents = [_document(passage) for passage in shown]
    for number, passage in enumerate(shown, start=1):
        for question in _drawn(questions[passage], _OF_EACH, rng):
            if not _is_told(question, [other for other in shown if other is not passage]):
                yield Sample(ask(question.text, documents=documents), _answer(question, [number]))
    unanswerable = [one for passage in strange for one in questions[passage] if not _is_told(one, shown)]
    for question in _drawn(unanswerable, rng.choice(_STRANGE[len(shown)]), rng):
        yield Sample(ask(question.text, documents=documents), unknown(question.language))


def _alone(question: Question, pool: Sequence[Passage], rng: random.Random) -> Sample:
    gold = list(question.gold) if rng.random() >= _UNANSWERABLE else []
    shown = gold + _others(question, pool, rng.choice(_OTHERS), rng)
    rng.shuffle(shown)
    documents = [_document(passage) for passage in shown]
    seen = {shown[at] for at in best(question.text, documents, SHOWN)}
    cited = [number for number, passage in enumerate(shown, 1) if passage in gold and passage in seen]
    is_answerable = _suffices(question, [passage for passage in gold if passage in seen])
    answer = _answer(question, cited) if is_answerable else unknown(question.language)
    return Sample(ask(question.text, documents=documents), answer)


def unknown(language: str) -> str:
    """Say that the documents hold no answer, behind the mark that does."""
    return f"{MARKS['unknown']} {UNKNOWN[language]}"


def outcome_first(seed: Sample) -> Sample:
    """Put the sources of a hand-written answer, or the mark of not knowing, before its words."""
    if not seed.conversation.documents:
        return seed
    if seed.answer in UNKNOWN.values():
        return replace(seed, answer=f"{MARKS['unknown']} {seed.answer}")
    sources = dict.fromkeys(re.findall(r"\d+", "".join(_CITED.findall(seed.answer))))
    return replace(seed, answer=cited_first(_CITED.sub("", seed.answer), map(int, sources)))


def _answer(question: Question, sources: Sequence[int]) -> str:
    if not question.answer:  # its passage is known to hold none
        return unknown(question.language)
    return cited_first(f"{_sentence(question.answer)}.", sources)


def _suffices(question: Question, seen: Sequence[Passage]) -> bool:
    """Say whether the answer follows from those of the right passages that are seen; yes and no follow from all."""
    if question.answer.lower() in YES_NO or len(question.gold) == 1:
        return len(seen) == len(question.gold)
    return any(matches(passage.text, [question.answer], question.language) for passage in seen)


def _sentence(answer: str) -> str:
    text = answer.strip().rstrip(".")
    return text[:1].upper() + text[1:] if text[:1].islower() and text.lower() in YES_NO else text


def _document(passage: Passage) -> chat_pb2.Document:
    return chat_pb2.Document(title=passage.title, text=passage.text)


def _others(question: Question, pool: Sequence[Passage], count: int, rng: random.Random) -> list[Passage]:
    """Choose passages without the answer: the source's own first, then near ones and far ones of the pool."""
    own = _without_answer(question, rng.sample(question.others, len(question.others)))[:count]
    found = _without_answer(question, rng.sample(pool, min(len(pool), _HANDFUL)))
    left = count - len(own)
    near = sum(rng.random() < _NEAR for _ in range(left))
    nearest = [found[at] for at in best(question.text, [_document(one) for one in found], near)] if near else []
    far = [passage for passage in found if passage not in nearest][: left - len(nearest)]
    return own + nearest + far


def _without_answer(question: Question, passages: Sequence[Passage]) -> list[Passage]:
    usable = [one for one in passages if one not in question.gold and len(one.text) <= LONGEST]
    return [passage for passage in usable if not _is_told(question, [passage])]


def _is_told(question: Question, passages: Sequence[Passage]) -> bool:
    """Say whether passages hold the answer by chance; "yes" and "no" stand everywhere and tell nothing."""
    if not question.answer or question.answer.lower() in YES_NO:
        return False
    return any(matches(passage.text, [question.answer], question.language) for passage in passages)
