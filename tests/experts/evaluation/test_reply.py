"""Replies: the calls that a client gets, the text as it was, and what broke."""

from experts.engine import FinishReason
from experts.evaluation.reply import ReplyListener
from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.suite import Reply
from protos import chat_pb2

TOOL = chat_pb2.Tool(name="f", parameters_json='{"type": "object", "properties": {"a": {"type": "integer"}}}')
ONE = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


def listen(text: str, *, is_constrained: bool = False, finish: FinishReason = FinishReason.STOP) -> Reply:
    listener = ReplyListener(chat_pb2.Conversation(tools=[TOOL]), is_constrained=is_constrained)
    for character in text:
        listener.push(character)
    return listener.close("", finish)


def test_calls_are_joined_and_the_text_is_kept() -> None:
    two = f"{ONE}\n{ONE.replace('1', '2')}"
    wanted = Reply(two, (Call("f", {"a": 1}), Call("f", {"a": 2})))
    assert listen(two) == wanted
    assert listen(two, is_constrained=True) == wanted


def test_a_question_in_place_of_a_call_is_heard_behind_what_the_model_wrote() -> None:
    schema = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="What is the weather like?")
    told = chat_pb2.Conversation(tools=[chat_pb2.Tool(name="f", parameters_json=schema)], messages=[message])
    listener = ReplyListener(told, is_constrained=True, asks_for_missing=True)
    listener.push(text := '<tool_call>{"name": "f", "arguments": {"city": "Rome"}}</tool_call>')
    reply = listener.close("", FinishReason.STOP)
    assert reply == Reply(f"{text}I need to know more: Please tell me the city.")


def test_words_are_no_call() -> None:
    assert listen("None of the tools can do that.") == Reply("None of the tools can do that.")


def test_a_call_that_nobody_can_read_is_broken() -> None:
    assert listen("<tool_call>nonsense</tool_call>").broken == 1
    assert listen('<tool_call>{"name": "unknown", "arguments": {}}</tool_call>').broken == 1


def test_arguments_that_were_cut_off_are_broken_also_where_they_stream() -> None:
    for is_constrained in (False, True):
        reply = listen(ONE[:-14], is_constrained=is_constrained, finish=FinishReason.LENGTH)
        assert (reply.calls, reply.broken) == ((), 1)
