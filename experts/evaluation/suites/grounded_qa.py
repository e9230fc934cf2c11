"""The `grounded_qa` suite: questions over numbered documents, with citations, and some that cannot be answered.

Reads rows `{question, answers, passages, gold, answerable}`: passages are texts or `{title, text}`, `gold` is the
number (from 1) of the passage that holds the answer, or null; `lang` is optional and chooses the articles that
comparison ignores. `experts.evaluation.suites.make_grounded_qa` makes such rows.

Scores, each over the rows that it can be measured on:

* `match`, `match_words`, `em`, `f1`: answerable rows; an abstention is wrong, whatever words it shares with the answer.
* `citation_validity`: rows that got an answer and no abstention: it cites, and every number is that of a document.
* `citation_in_range`: the same without asking that it cites at all.
* `citation_recall`, `citation_precision`: answerable rows that got an answer: share of sentences that cite the gold
  document and nothing out of range, share of cited numbers that are the gold one (0 where nothing is cited).
  ALCE judges entailment with an 11B model; here the gold passage stands for it.
* `answered`: answerable rows that got an answer. `abstention`: unanswerable rows that got none.
* `false_answers`: all rows: an answer where there is none to give, or one that does not match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experts.evaluation.suites import qa_text
from experts.evaluation.suites.abstention import abstains
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.sentences import cited_numbers, split_sentences, without_marks
from experts.evaluation.suites.suite import Case, Reply, field
from protos import chat_pb2


class GroundedQASuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case: numbered documents and a question."""
        name = str(row.get("id", index))
        documents = [_document(passage, name) for passage in field(row, "passages", list, name)]
        gold = row.get("gold")
        if gold is not None and not (_is_whole(gold) and 1 <= gold <= len(documents)):
            raise RowError(f"{name}: gold is neither null nor the number of a passage")
        if is_answerable(row) and not field(row, "answers", list, name):
            raise RowError(f"{name}: an answerable row needs answers")
        question = chat_pb2.Message(role=chat_pb2.ROLE_USER, content=field(row, "question", str, name))
        return Case(name, chat_pb2.Conversation(messages=[question], documents=documents), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Measure an answer: words, citations, abstention."""
        row, answer = case.row, reply.text
        is_answer = bool(answer.strip()) and not abstains(answer)
        verdict: dict[str, bool | float] = {}
        if is_answerable(row):
            verdict |= _judge_words(row, answer if is_answer else "")
            verdict["answered"] = is_answer
        else:
            verdict["abstention"] = abstains(answer)
        if is_answer:
            verdict |= _judge_citations(row, answer)
        verdict["false_answers"] = is_answer and not verdict.get("match", False)
        return verdict

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def is_answerable(row: Row) -> bool:
    """Say whether the documents hold the answer; a row that does not say it has a gold passage or none."""
    return bool(row.get("answerable", row.get("gold") is not None))


def _judge_words(row: Row, answer: str) -> Verdict:
    said, golds, language = without_marks(answer), row["answers"], str(row.get("lang", "en"))
    return {
        "match": qa_text.matches(said, golds, language),
        "match_words": qa_text.matches_words(said, golds, language),
        "em": qa_text.exact(said, golds, language),
        "f1": qa_text.f1(said, golds, language),
    }


def _judge_citations(row: Row, answer: str) -> Verdict:
    known, cited = range(1, len(row["passages"]) + 1), cited_numbers(answer)
    in_range = all(number in known for number in cited)
    verdict: dict[str, bool | float] = {"citation_validity": bool(cited) and in_range, "citation_in_range": in_range}
    if is_answerable(row) and row.get("gold") is not None:
        gold, sentences = row["gold"], split_sentences(answer)
        supported = [gold in s.cited and all(number in known for number in s.cited) for s in sentences]
        marks = [number for sentence in sentences for number in set(sentence.cited)]
        verdict["citation_recall"] = sum(supported) / len(supported) if supported else 0.0
        verdict["citation_precision"] = marks.count(gold) / len(marks) if marks else 0.0
    return verdict


def _document(passage: Any, where: str) -> chat_pb2.Document:  # noqa: ANN401  # JSON
    match passage:
        case str():
            return chat_pb2.Document(text=passage)
        case {"text": str(text)}:
            return chat_pb2.Document(title=str(passage.get("title") or ""), text=text)
        case _:
            raise RowError(f"{where}: a passage is neither a text nor an object with one")


def _is_whole(value: Any) -> bool:  # noqa: ANN401  # JSON
    return isinstance(value, int) and not isinstance(value, bool)
