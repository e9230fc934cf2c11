"""What retrieval is worth to whoever asks: the same questions through a running gateway, three times.

* `closed`: the question alone.
* `gold`: with the passages that hold its answer, which is the ceiling of any search.
* `retrieved`: with a collection to search, in which those passages lie among others.

An answer matches when it holds one of the gold answers, both normalised as NQ-open's are, which is how NinjaLLM counts
(arXiv 2407.12057); not knowing is no match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from experts.evaluation.gateway_client import GatewayClient, Question, Served, ask_gateway
from experts.evaluation.suites.abstention import abstains
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import Row, RowError, read_rows, sample
from experts.evaluation.suites.scores import Score, mean, share
from experts.evaluation.suites.sentences import cited_numbers
from protos import chat_pb2

WAYS: Final = ("closed", "gold", "retrieved")
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Asked:
    """A question.

    Attributes:
        text: its words.
        answers: any of which is right.
        gold: the passages that hold it.
    """

    text: str
    answers: tuple[str, ...]
    gold: tuple[chat_pb2.Document, ...]


def read_questions(path: Path, limit: int | None) -> list[Asked]:
    """Read rows `{question, answers, passages, gold}`: `gold` is the number (from 1) of a passage, or a list of them.

    Raises:
        RowError: the file cannot be read, or a row is not of that form.
    """
    rows = [row for row in read_rows(path) if row.get("gold") and row.get("answers")]
    try:
        return [_asked(row) for row in sample(rows, limit, _SEED)]
    except (KeyError, TypeError, IndexError):
        raise RowError(f"{path}: a row is not {{question, answers, passages, gold}}") from None


def _asked(row: Row) -> Asked:
    golds = row["gold"] if isinstance(row["gold"], list) else [row["gold"]]
    return Asked(str(row["question"]), tuple(row["answers"]), tuple(_document(row["passages"][at - 1]) for at in golds))


def _document(passage: str | Mapping[str, Any]) -> chat_pb2.Document:
    if isinstance(passage, str):
        return chat_pb2.Document(text=passage)
    return chat_pb2.Document(title=str(passage.get("title") or ""), text=str(passage["text"]))


def compare(
    client: GatewayClient,
    model: str,
    collection: str,
    questions: Sequence[Asked],
    *,
    top_k: int,
    in_flight: int,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Any]:
    """Ask every question in every way, and compare.

    Raises:
        GatewayUnavailable: nobody answers.
    """
    asked = [(way, question) for question in questions for way in WAYS]
    done = 0

    def heard(place: int, served: Served) -> None:
        nonlocal done
        done += 1
        progress(done, len(asked))

    wanted = [_question(model, collection, way, question, top_k) for way, question in asked]
    served = ask_gateway(client, wanted, in_flight, heard)
    judged: dict[str, list[_Judged]] = {way: [] for way in WAYS}
    for (way, question), answer in zip(asked, served, strict=True):
        documents = {"closed": 0, "gold": len(question.gold), "retrieved": top_k}[way]
        judged[way].append(_judge(question, answer, documents))
    return _figures(judged)


def _question(model: str, collection: str, way: str, question: Asked, top_k: int) -> Question:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, content=question.text)
    asked = Question(model, chat_pb2.Conversation(messages=[message]))
    if way == "gold":
        asked.conversation.documents.extend(question.gold)
    return replace(asked, collection=collection, top_k=top_k) if way == "retrieved" else asked


@dataclass(frozen=True, slots=True)
class _Judged:
    """One answer: whether it matches, is an answer at all, and cites what is there; None where it need not cite."""

    is_match: bool
    is_answer: bool
    is_cited_well: bool | None
    is_lost: bool


def _judge(question: Asked, served: Served, documents: int) -> _Judged:
    said = served.answer.reply.text
    is_answer = bool(said.strip()) and not abstains(said)
    cited = cited_numbers(said)
    well = bool(cited) and all(1 <= number <= documents for number in cited)
    must_cite = documents > 0 and is_answer
    return _Judged(
        is_answer and matches(said, question.answers), is_answer, well if must_cite else None, served.is_lost
    )


def _figures(judged: Mapping[str, Sequence[_Judged]]) -> dict[str, Any]:
    """Put the ways beside each other; a question of which any answer was lost is left out of all."""
    kept = [at for at in range(len(judged["gold"])) if not any(judged[way][at].is_lost for way in WAYS)]
    figures: dict[str, Any] = {"n": len(kept), "lost": len(judged["gold"]) - len(kept)}
    for way in WAYS:
        rows = [judged[way][at] for at in kept]
        cited = [row.is_cited_well for row in rows if row.is_cited_well is not None]
        figures[way] = {"match": _share(row.is_match for row in rows), "answered": _share(r.is_answer for r in rows)}
        figures[way] |= {"citations_valid": _share(cited)} if cited else {}
    apart = [float(judged["retrieved"][at].is_match) - float(judged["gold"][at].is_match) for at in kept]
    figures["retrieved_minus_gold"] = mean(apart, _SEED).as_dict() if apart else None
    return figures


def _share(claims: Iterable[bool]) -> dict[str, object]:
    held = np.array(list(claims), np.bool_)
    score: Score = share(int(held.sum()), len(held)) if len(held) else Score(0.0, 0.0, 1.0, 0)
    return score.as_dict()
