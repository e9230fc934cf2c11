"""The client of a gateway: what is sent, what is read of a stream, and what becomes of errors."""

import json
from typing import Any

import pytest

from experts.evaluation.gateway_client import GatewayClient, GatewayUnavailable, Question, ask_gateway
from experts.evaluation.suites.ast_rules import Call
from protos import chat_pb2
from tests.experts.evaluation.fake_gateway import Answer, fake_gateway, refused, said


def asked(text: str = "Hello", **parts: Any) -> chat_pb2.Conversation:
    return chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)], **parts)


def test_an_answer_has_its_expert_its_cost_and_its_tokens() -> None:
    bodies = []

    def answer(body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return said("Hi")

    with fake_gateway(answer) as url:
        served = GatewayClient(f"{url}/v1/").ask("auto", asked(), max_tokens=7)
    assert (served.answer.reply.text, served.answer.finish, served.expert, served.usd) == ("Hi", "stop", "coder", 0.001)
    assert (served.answer.prompt_tokens, served.answer.completion_tokens) == (3, 2)
    assert served.ttft_s is not None and served.ttft_s > 0
    assert bodies == [
        {
            "model": "auto",
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 7,
        }
    ]


def test_tools_documents_and_a_form_are_sent_as_a_client_sends_them() -> None:
    bodies = []

    def answer(body: dict[str, Any]) -> Answer:
        bodies.append(body)
        return said("{}")

    tool = chat_pb2.Tool(name="f", description="does", parameters_json='{"type": "object"}')
    form = chat_pb2.ResponseFormat(type=chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, schema_json='{"type": "object"}')
    with fake_gateway(answer) as url:
        client = GatewayClient(url)
        client.ask("auto", asked(tools=[tool], documents=[chat_pb2.Document(title="T", text="D")]))
        client.ask("auto", asked(response_format=form))
    function = {"name": "f", "description": "does", "parameters": {"type": "object"}}
    assert bodies[0]["tools"] == [{"type": "function", "function": function}]
    assert bodies[0]["documents"] == [{"title": "T", "text": "D"}]
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert bodies[1]["response_format"] == {"type": "json_schema", "json_schema": schema}


def test_calls_are_joined_and_one_that_does_not_parse_is_broken() -> None:
    def piece(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        call = {"index": index, "function": {"arguments": arguments} | ({"name": name} if name else {})}
        return {"model": "tool-caller", "choices": [{"delta": {"tool_calls": [call]}, "finish_reason": None}]}

    events = [piece(0, '{"a"', "f"), piece(0, ": 1}"), piece(1, "{oh", "g")]
    events.append({"model": "tool-caller", "choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    with fake_gateway(lambda _: (200, events)) as url:
        reply = GatewayClient(url).ask("auto", asked()).answer.reply
    assert (reply.calls, reply.broken) == ((Call("f", {"a": 1}),), 1)


def test_a_refusal_is_an_answer_that_says_why() -> None:
    with fake_gateway(lambda _: refused(400, "context_length_exceeded")) as url:
        served = GatewayClient(url).ask("auto", asked())
    assert (served.answer.finish, served.answer.reply.broken, served.expert) == ("context_length_exceeded", 1, "")


def test_what_breaks_after_the_first_token_is_no_answer() -> None:
    events = [{"model": "coder", "choices": [{"delta": {"content": "Half"}}]}, refused(0, "expert_failed")[1]]
    with fake_gateway(lambda _: (200, events)) as url:  # type: ignore[arg-type, return-value]
        served = GatewayClient(url).ask("auto", asked())
    assert (served.answer.finish, served.answer.reply.text) == ("expert_failed", "")


def test_later_means_again() -> None:
    statuses = iter([503, 429, 200])

    def answer(body: dict[str, Any]) -> Answer:
        status = next(statuses)
        return said("Hi") if status == 200 else refused(status, "overloaded")

    with fake_gateway(answer) as url:
        assert GatewayClient(url).ask("auto", asked()).answer.reply.text == "Hi"


def test_answers_come_in_the_order_of_the_questions() -> None:
    told: list[int] = []
    with fake_gateway(lambda body: said(json.dumps(body["messages"][0]["content"]))) as url:
        questions = [Question("auto", asked(str(number))) for number in range(9)]
        served = ask_gateway(GatewayClient(url), questions, 4, lambda at, _: told.append(at))
    assert [one.answer.reply.text for one in served] == [f'"{number}"' for number in range(9)]
    assert sorted(told) == list(range(9))


@pytest.mark.parametrize("url", ["ftp://here", "here:8000", "http://127.0.0.1:9"])
def test_where_no_gateway_is_the_address_is_named(url: str) -> None:
    with pytest.raises(GatewayUnavailable, match=url):
        GatewayClient(url).models()
