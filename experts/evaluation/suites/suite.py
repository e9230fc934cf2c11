"""What a suite is: it asks the expert a row's question and judges the answer.

`experts.evaluate` reads rows, asks through the engine, and hands every answer back to the suite. A suite never sees the
engine, so its scorers are tested with plain strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from protos import chat_pb2

ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "developer": chat_pb2.ROLE_SYSTEM,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One row, ready to ask: the conversation as a client would send it, and the row to judge by."""

    name: str
    conversation: chat_pb2.Conversation
    row: Row


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: as the expert wrote it, before anything is taken out.
        calls: the tool calls that the client gets.
        broken: calls that the expert began and nobody could make a call of; 1 where the engine refused the request,
            so that silence is not taken for a right "no call".
    """

    text: str
    calls: tuple[Call, ...] = ()
    broken: int = 0


class Suite(Protocol):
    """One kind of task."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case; `index` names it where it has no id.

        Raises:
            RowError: the row does not have the suite's shape.
        """

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Measure one answer."""

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return scores that are no mean of verdicts; most suites have none."""


def asked(text: str) -> chat_pb2.Conversation:
    """Return the conversation in which a user says one thing."""
    return chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)])


def read_messages(row: Row, where: str) -> list[chat_pb2.Message]:
    """Read a row's `messages` of plain text.

    Raises:
        RowError: there are none, or one has an unknown role or no text.
    """
    messages = field(row, "messages", list, where)
    if not messages:
        raise RowError(f"{where}: there are no messages")
    return [_message(message, where) for message in messages]


def _message(message: Any, where: str) -> chat_pb2.Message:  # noqa: ANN401  # JSON
    match message:
        case {"role": str(role), "content": str(content)} if role in ROLES:
            return chat_pb2.Message(role=ROLES[role], content=content)
        case _:
            raise RowError(f"{where}: a message needs a known role and text")


def field(row: Row, name: str, kind: type, where: str) -> Any:  # noqa: ANN401  # JSON
    """Return a row's field of a known type.

    Raises:
        RowError: it is missing, or of another type.
    """
    value = row.get(name)
    if not isinstance(value, kind):
        raise RowError(f"{where}: {name!r} is missing or no {kind.__name__}")
    return value
