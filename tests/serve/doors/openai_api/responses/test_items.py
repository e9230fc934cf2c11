"""Input items in the core's words."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from protos import chat_pb2 as chat
from serve.doors.openai_api.responses.items import InputItem, Turns

ITEM: TypeAdapter[Any] = TypeAdapter(InputItem)
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": '{"a": 1}', "status": "x"}


def translated(*items: dict[str, Any]) -> Turns:
    turns = Turns()
    for i, item in enumerate(items):
        turns.add_item(ITEM.validate_python(item), f"input[{i}]")
    return turns


@pytest.mark.parametrize(
    ("item", "role", "content"),
    [
        ({"role": "user", "content": "a"}, chat.ROLE_USER, "a"),
        ({"role": "user", "content": ""}, chat.ROLE_USER, ""),
        ({"type": "message", "role": "developer", "content": "a"}, chat.ROLE_SYSTEM, "a"),
        ({"role": "system", "content": "a"}, chat.ROLE_SYSTEM, "a"),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            chat.ROLE_USER,
            "a\nb",
        ),
        (
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "a", "annotations": []}],
            },
            chat.ROLE_ASSISTANT,
            "a",
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]},
            chat.ROLE_ASSISTANT,
            "I will not.",
        ),
        ({"type": "function_call_output", "call_id": "c1", "output": ""}, chat.ROLE_TOOL, ""),
        (
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "3"}]},
            chat.ROLE_TOOL,
            "3",
        ),
    ],
)
def test_an_item_is_a_message(item: dict[str, Any], role: int, content: str) -> None:
    [message] = translated(item).messages
    assert (message.role, message.content) == (role, content)
    assert message.tool_call_id == item.get("call_id", "")


def test_calls_join_the_words_before_them() -> None:
    words = {"role": "assistant", "content": "I add."}
    result = {"type": "function_call_output", "call_id": "c1", "output": "3"}
    turns = translated({"role": "user", "content": "add"}, words, CALL, {**CALL, "call_id": "c2"}, result)
    assert [message.role for message in turns.messages] == [chat.ROLE_USER, chat.ROLE_ASSISTANT, chat.ROLE_TOOL]
    assert [call.id for call in turns.messages[1].tool_calls] == ["c1", "c2"]
    assert turns.messages[1].tool_calls[0].arguments == '{"a": 1}'
    assert turns.places == ["input[0]", "input[1]", "input[4]"]


def test_a_call_without_words_is_a_message() -> None:
    [message] = translated(CALL).messages
    assert (message.role, message.content) == (chat.ROLE_ASSISTANT, "")


def test_reasoning_is_left_out() -> None:
    assert translated({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"}).messages == []
