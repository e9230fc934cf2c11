"""Rows become conversations, and a row of another shape is named without its text."""

from __future__ import annotations

from typing import Any

import pytest

from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import field, read_messages
from protos import chat_pb2


def test_messages_keep_their_order_and_roles() -> None:
    turns = [("developer", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "")]
    read = read_messages({"messages": [{"role": role, "content": text, "name": "x"} for role, text in turns]}, "row 1")
    assert [message.content for message in read] == [text for _, text in turns]
    assert [message.role for message in read] == [
        chat_pb2.ROLE_SYSTEM,
        chat_pb2.ROLE_USER,
        chat_pb2.ROLE_ASSISTANT,
        chat_pb2.ROLE_USER,
    ]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": []},
        {"messages": "secret"},
        {"messages": ["secret"]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "robot", "content": "secret"}]},
        {"messages": [{"role": ["user"], "content": "secret"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "secret"}]}]},
        {"messages": [{"role": "user", "content": "fine"}, {"content": "secret"}]},
    ],
)
def test_a_row_of_another_shape_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(RowError, match=r"^row 7: ") as caught:
        read_messages(row, "row 7")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "1", 1.0, [1]])
def test_a_field_of_another_type_is_named(value: object) -> None:
    assert field({"n": 3}, "n", int, "row 7") == 3
    with pytest.raises(RowError, match=r"^row 7: 'n' is missing or no int$"):
        field({"n": value}, "n", int, "row 7")
