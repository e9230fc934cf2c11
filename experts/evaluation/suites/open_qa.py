"""The `open_qa` suite: questions without documents.

Reads rows `{question, answers}`; NQ-open's `answer` is read too. Scores:

* `match`, `match_words`, `f1`: against the gold answers, as `grounded_qa` counts them; not knowing is wrong.
* `answered`: the reply is no abstention.
* `no_documents`: it has no word of documents and cites none, for none were given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from experts.evaluation.suites import qa_text
from experts.evaluation.suites.abstention import abstains
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.sentences import cited_numbers
from experts.evaluation.suites.suite import Case, Reply, asked, field

_DOCUMENTS = re.compile(r"\b(documents?|passages?|sources? (do|does|given|provided))\b", re.IGNORECASE)


class OpenQASuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case; it needs gold answers."""
        name = str(row.get("id", index))
        if not _golds(row) or not all(isinstance(gold, str) for gold in _golds(row)):
            raise RowError(f"{name}: 'answers' are missing or no texts")
        return Case(name, asked(field(row, "question", str, name)), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Compare the words, and see that nothing is said of documents."""
        is_answer = bool(reply.text.strip()) and not abstains(reply.text)
        said, golds, language = (reply.text if is_answer else ""), _golds(case.row), str(case.row.get("lang", "en"))
        return {
            "match": qa_text.matches(said, golds, language),
            "match_words": qa_text.matches_words(said, golds, language),
            "f1": qa_text.f1(said, golds, language),
            "answered": is_answer,
            "no_documents": not _DOCUMENTS.search(reply.text) and not cited_numbers(reply.text),
        }

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def _golds(row: Row) -> list[str]:
    found = row.get("answers", row.get("answer"))
    return found if isinstance(found, list) else []
