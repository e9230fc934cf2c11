"""The `chat` suite: advice and writing, measured by overlap with a reference, by structure and by length.

Reads rows `{messages, answer}`. It uses no judge model: it measures whether answers are laid out as the advisor is
taught, not whether they are wise or kind.

Scores: `target`, all checks of `structure` hold; `structure`, the average share of the checks that hold; each check
alone; `rouge_l` (0..1) and `bleu` (0..100); `words` of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from experts.evaluation.suites import overlap, structure
from experts.evaluation.suites.rows import Row
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, field, read_messages
from protos import chat_pb2


class ChatSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case; it needs a reference answer."""
        name = str(row.get("id", index))
        field(row, "answer", str, name)
        return Case(name, chat_pb2.Conversation(messages=read_messages(row, name)), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Check the layout of an answer and its overlap with the reference."""
        answer = reply.text
        checks = structure.check(case.conversation.messages[-1].content, answer, case.row["answer"])
        return {
            "target": all(checks.values()),
            "structure": sum(checks.values()) / len(checks),
            **checks,
            "rouge_l": overlap.rouge_l(answer, case.row["answer"]),
            "words": float(structure.word_count(answer)),
        }

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return BLEU over all answers together."""
        return {
            "bleu": overlap.corpus_bleu([reply.text for reply in replies], [case.row["answer"] for case in cases], seed)
        }
