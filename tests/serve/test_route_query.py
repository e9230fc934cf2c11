"""What the router gets to see of a request."""

import pytest

from protos import chat_pb2 as chat
from router.router import Router
from serve.route_query import route_query

MODES = chat.ToolChoice


def ask(mode: "chat.ToolChoice.Mode.ValueType") -> chat.Conversation:
    return chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content="Write a poem")],
        tools=[chat.Tool(name="get_time", description="the time in a city")],
        tool_choice=chat.ToolChoice(mode=mode, name="get_time"),
    )


@pytest.mark.parametrize("mode", [MODES.MODE_REQUIRED, MODES.MODE_NAMED])
def test_a_call_that_is_asked_for_goes_to_the_tool_caller(mode: "chat.ToolChoice.Mode.ValueType") -> None:
    probabilities = Router.load().gate.by_expert(route_query(ask(mode)))
    assert max(probabilities, key=lambda expert: probabilities[expert]) == "tool-caller"


def test_no_call_may_be_made_without_leave() -> None:
    assert Router.load().gate.by_expert(route_query(ask(MODES.MODE_NONE)))["tool-caller"] == 0.0


def test_raw_text_is_one_user_turn() -> None:
    query = route_query("Once upon a time")
    assert [(turn.role, turn.text) for turn in query.turns] == [("user", "Once upon a time")]
