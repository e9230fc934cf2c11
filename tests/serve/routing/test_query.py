"""What the router gets to see of a request."""

import pytest

from protos import chat_pb2 as chat
from router.features.featurize import query_from_openai
from router.router import Router
from serve.routing.query import route_query

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


def with_result(*, tools: bool, mode: "chat.ToolChoice.Mode.ValueType") -> chat.Conversation:
    call = chat.ToolCall(id="a", name="get_weather", arguments='{"city": "Oslo"}')
    return chat.Conversation(
        messages=[
            chat.Message(role=chat.ROLE_USER, content="What is the weather in Oslo?"),
            chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[call, call]),
            chat.Message(role=chat.ROLE_TOOL, tool_call_id="a", content='{"sky": "rain"}'),
        ],
        tools=[chat.Tool(name="get_weather")] if tools else [],
        tool_choice=chat.ToolChoice(mode=mode),
    )


@pytest.mark.parametrize("tools", [True, False])
@pytest.mark.parametrize("mode", [MODES.MODE_UNSPECIFIED, MODES.MODE_NONE])
def test_who_called_puts_the_results_into_words(*, tools: bool, mode: "chat.ToolChoice.Mode.ValueType") -> None:
    conversation = with_result(tools=tools, mode=mode)
    query = route_query(conversation)
    assert (query.has_tools, query.must_call, query.tool_names) == (True, False, ("get_weather",))
    probabilities = Router.load().gate.by_expert(query)
    assert max(probabilities, key=lambda expert: probabilities[expert]) == "tool-caller"


def test_results_of_an_earlier_turn_do_not_count() -> None:
    conversation = with_result(tools=True, mode=MODES.MODE_NONE)
    conversation.messages.add(role=chat.ROLE_ASSISTANT, content="It rains.")
    conversation.messages.add(role=chat.ROLE_USER, content="Write a poem about it")
    assert not route_query(conversation).has_tools


@pytest.mark.parametrize("tools", [True, False])
@pytest.mark.parametrize("mode", [MODES.MODE_UNSPECIFIED, MODES.MODE_NONE])
def test_data_files_are_read_alike(*, tools: bool, mode: "chat.ToolChoice.Mode.ValueType") -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        {"role": "user", "content": "What is the weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "a", "content": '{"sky": "rain"}'},
    ]
    offered = [{"type": "function", "function": {"name": "get_weather"}}] if tools else None
    choice = "none" if mode == MODES.MODE_NONE else None
    assert query_from_openai(messages, offered, choice) == route_query(with_result(tools=tools, mode=mode))


def test_raw_text_is_one_user_turn() -> None:
    query = route_query("Once upon a time")
    assert [(turn.role, turn.text) for turn in query.turns] == [("user", "Once upon a time")]


def with_documents(question: str, text: str) -> chat.Conversation:
    return chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content=question)],
        documents=[chat.Document(title="Notes", text=text)],
    )


def test_documents_are_seen_by_their_size_and_never_by_their_words() -> None:
    router = Router.load()
    code, prose = ("def f(x): return x; " * 20)[:400], ("A poem of mine about you. " * 20)[:400]
    read = [router.gate.by_expert(route_query(with_documents("When was it built?", text))) for text in (code, prose)]
    assert read[0] == read[1]
    alone = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="When was it built?")])
    assert read[0]["researcher"] > router.gate.by_expert(route_query(alone))["researcher"]


def test_documents_count_towards_the_prompts_length() -> None:
    documents = route_query(with_documents("When?", "word " * 9_000)).documents
    assert (documents.count, documents.chars) == (1, 45_005)
    assert 9_000 <= documents.tokens <= 9_002
