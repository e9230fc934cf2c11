"""The official OpenAI SDK, as its users write it."""

from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("openai-python", "openai")
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Place(BaseModel):
    """What is to be parsed."""

    city: str
    people: int


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


@CLIENT.check("chat")
def chat(url: str) -> None:
    answer = client(url).chat.completions.create(model="auto", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


@CLIENT.check("stream")
def stream(url: str) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    with client(url).chat.completions.stream(model="auto", messages=messages) as events:
        final = events.get_final_completion()
    assert final.choices[0].message.content == "You said: hello"


@CLIENT.check("tools")
def tools(url: str) -> None:
    answer = ask_with(url, [{"role": "user", "content": "weather?"}])
    [call] = answer.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    first = ask_with(url, [{"role": "user", "content": "weather?"}])
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": ""}
    assert ask_with(url, [{"role": "user", "content": "weather?"}, first, result]).content == "The tool said: ."


def ask_with(url: str, messages: Any) -> Any:
    return client(url).chat.completions.create(model="auto", messages=messages, tools=[TOOL]).choices[0].message


@CLIENT.check("schema")
def schema(url: str) -> None:
    messages: Any = [{"role": "user", "content": "where?"}]
    answer = client(url).chat.completions.parse(model="auto", messages=messages, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Oslo", people=1)


@CLIENT.check("errors")
def errors(url: str) -> None:
    try:
        client(url).chat.completions.create(model="nobody", messages=[{"role": "user", "content": "hello"}])
    except openai.NotFoundError as error:
        assert (error.code, error.param) == ("model_not_found", "model")
    else:
        raise AssertionError("no error")


FUNCTION: Any = {"type": "function", **TOOL["function"], "strict": False}


@CLIENT.check("responses")
def responses(url: str) -> None:
    api = client(url).responses
    first = api.create(model="auto", input="hello", instructions="Be brief.")
    assert (first.output_text, first.status) == ("You said: hello", "completed")
    assert first.usage is not None
    assert first.usage.output_tokens == 3
    second = api.create(model="auto", input="again", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert api.retrieve(first.id).output_text == "You said: hello"
    said = [item.role for item in api.input_items.list(second.id, limit=2, order="asc")]  # one page after the other
    assert said == ["user", "assistant", "user"]
    assert api.input_tokens.count(model="auto", input="hello").input_tokens == 7
    api.delete(first.id)
    try:
        api.retrieve(first.id)
    except openai.NotFoundError as error:
        assert error.code == "response_not_found"
    else:
        raise AssertionError("it is still there")
    _stream_responses(api)
    _call_in_responses(api)
    parsed = api.parse(model="auto", input="where?", text_format=Place, store=False)
    assert parsed.output_parsed == Place(city="Oslo", people=1)
    try:
        api.create(model="auto", input="hello", truncation="auto")
    except openai.BadRequestError as error:
        assert (error.code, error.param) == ("unsupported_parameter", "truncation")
    else:
        raise AssertionError("no error")


def _stream_responses(api: Any) -> None:
    with api.stream(model="auto", input="hello") as events:
        numbers = [event.sequence_number for event in events]
        final = events.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert final.output_text == "You said: hello"
    with api.stream(model="auto", input="weather?", tools=[FUNCTION]) as events:
        [call] = events.get_final_response().output
    assert (call.type, call.name, call.arguments) == ("function_call", "get_weather", '{"city": "Oslo"}')


def _call_in_responses(api: Any) -> None:
    first = api.create(model="auto", input="weather?", tools=[FUNCTION], parallel_tool_calls=False)
    [call] = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": ""}
    kept = api.create(model="auto", input=[result], previous_response_id=first.id, tools=[FUNCTION])
    sent = api.create(model="auto", input=[{"role": "user", "content": "weather?"}, call, result], tools=[FUNCTION])
    referred = [{"role": "user", "content": "weather?"}, {"type": "item_reference", "id": call.id}, result]
    looked_up = api.create(model="auto", input=referred, tools=[FUNCTION])
    assert kept.output_text == sent.output_text == looked_up.output_text == "The tool said: ."


if __name__ == "__main__":
    CLIENT.main()
