"""LiteLLM's own client, by which many programs ask."""

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches its prices otherwise, before it is asked anything
import litellm
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("litellm")
FUNCTION: Any = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOL: Any = {"type": "function", "function": FUNCTION}


class Place(BaseModel):
    """What is to be parsed."""

    city: str
    people: int


def ask(url: str, content: Any, **options: Any) -> Any:
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    options = {"model": "openai/auto", "base_url": f"{url}/v1", "api_key": KEY, "num_retries": 0} | options
    return litellm.completion(messages=messages, **options)


@CLIENT.check("chat")
def chat(url: str) -> None:
    answer = ask(url, "hello")
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.usage.completion_tokens == 3


@CLIENT.check("stream")
def stream(url: str) -> None:
    pieces = list(ask(url, "hello", stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "You said: hello"
    assert litellm.stream_chunk_builder(pieces).usage.completion_tokens == 3


@CLIENT.check("tools")
def tools(url: str) -> None:
    [call] = ask(url, "weather?", tools=[TOOL]).choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')
    whole = litellm.stream_chunk_builder(list(ask(url, "weather?", tools=[TOOL], stream=True)))
    [call] = whole.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    first = ask(url, "weather?", tools=[TOOL]).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": ""}
    answer = ask(url, [{"role": "user", "content": "weather?"}, first, result], tools=[TOOL])
    assert answer.choices[0].message.content == "The tool said: ."


@CLIENT.check("schema")
def schema(url: str) -> None:
    for options in ({}, {"tools": [TOOL], "tool_choice": "none"}):
        answer = ask(url, "where?", response_format=Place, **options)
        assert Place.model_validate_json(answer.choices[0].message.content) == Place(city="Oslo", people=1)


@CLIENT.check("errors")
def errors(url: str) -> None:
    for options, kind in (
        ({"model": "openai/nobody"}, litellm.NotFoundError),
        ({"temperature": 9}, litellm.BadRequestError),
        ({"content": "word " * 100_000}, litellm.ContextWindowExceededError),
    ):
        try:
            ask(url, options.pop("content", "hello"), **options)
        except kind:
            continue
        raise AssertionError(f"no {kind}")


@CLIENT.check("responses")
def responses(url: str) -> None:
    options: Any = {"model": "openai/auto", "api_base": f"{url}/v1", "api_key": KEY}
    first = litellm.responses(input="hello", **options)
    assert first.output[0].content[0].text == "You said: hello"
    second = litellm.responses(input="again", previous_response_id=first.id, **options)
    assert second.output[0].content[0].text == "You said: again"
    kinds = [event.type for event in litellm.responses(input="hello", stream=True, **options)]
    assert kinds[-1] == "response.completed"


if __name__ == "__main__":
    CLIENT.main()
