"""The official Anthropic SDK."""

import json
from typing import Any

import anthropic
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("anthropic")
TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HELLO: Any = [{"role": "user", "content": "hello"}]
WEATHER: Any = [{"role": "user", "content": "weather?"}]


class Place(BaseModel):
    """What is to be parsed."""

    city: str
    people: int


def client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


@CLIENT.check("chat")
def chat(url: str) -> None:
    answer = client(url).messages.create(model="auto", max_tokens=64, system="Be brief.", messages=HELLO)
    [block] = answer.content
    assert block.type == "text"
    assert block.text == "You said: hello"
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 3)
    assert answer._request_id == answer.id
    assert next(model.id for model in client(url).models.list()) == "auto"


@CLIENT.check("stream")
def stream(url: str) -> None:
    with client(url).messages.stream(model="auto", max_tokens=64, messages=HELLO) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    assert text == "You said: hello"
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 7, 3)


@CLIENT.check("tools")
def tools(url: str) -> None:
    whole = client(url).messages.create(model="auto", max_tokens=64, messages=WEATHER, tools=[TOOL])
    with client(url).messages.stream(model="auto", max_tokens=64, messages=WEATHER, tools=[TOOL]) as events:
        streamed = events.get_final_message()
    for answer in (whole, streamed):
        [call] = answer.content
        assert call.type == "tool_use"
        assert (call.name, call.input, answer.stop_reason) == ("get_weather", {"city": "Oslo"}, "tool_use")
    any_tool: Any = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    client(url).messages.create(model="auto", max_tokens=64, messages=WEATHER, tools=[TOOL], tool_choice=any_tool)


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    first = client(url).messages.create(model="auto", max_tokens=64, messages=WEATHER, tools=[TOOL])
    call: Any = first.content[0]
    for content in ({}, {"content": ""}, {"content": []}):
        result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, **content}]}
        turns: Any = [*WEATHER, {"role": "assistant", "content": first.content}, result]
        answer: Any = client(url).messages.create(model="auto", max_tokens=64, messages=turns, tools=[TOOL])
        assert answer.content[0].text == "The tool said: ."


@CLIENT.check("schema")
def schema(url: str) -> None:
    answer = client(url).messages.parse(model="auto", max_tokens=64, messages=HELLO, output_format=Place)
    assert answer.parsed_output == Place(city="Oslo", people=1)


@CLIENT.check("errors")
def errors(url: str) -> None:
    try:
        client(url).messages.create(model="nobody", max_tokens=64, messages=HELLO)
    except anthropic.NotFoundError as error:
        assert error.type == "not_found_error"
    else:
        raise AssertionError("no error")
    try:
        client(url).messages.create(model="auto", max_tokens=64, messages=HELLO, extra_body={"top_k": 3})
    except anthropic.BadRequestError as error:
        assert json.loads(error.response.text)["error"]["type"] == "invalid_request_error"
        assert "top_k" in error.message
    else:
        raise AssertionError("no error")


@CLIENT.check("count")
def count(url: str) -> None:
    assert client(url).messages.count_tokens(model="auto", messages=HELLO, tools=[TOOL]).input_tokens == 7


if __name__ == "__main__":
    CLIENT.main()
