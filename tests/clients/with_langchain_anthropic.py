"""LangChain's ChatAnthropic."""

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("langchain-anthropic")


class Place(BaseModel):
    """A place."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def model(url: str) -> ChatAnthropic:
    options: Any = {"model": "auto", "base_url": url, "api_key": KEY, "max_retries": 0, "max_tokens": 64}
    return ChatAnthropic(**options)


@CLIENT.check("chat")
def chat(url: str) -> None:
    answer = model(url).invoke([("system", "Be brief."), ("user", "hello")])
    assert answer.content == "You said: hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 3


@CLIENT.check("stream")
def stream(url: str) -> None:
    assert "".join(str(piece.text) for piece in model(url).stream("hello")) == "You said: hello"


@CLIENT.check("tools")
def tools(url: str) -> None:
    [call] = model(url).bind_tools([get_weather]).invoke("weather?").tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Oslo"})


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    bound = model(url).bind_tools([get_weather])
    first = bound.invoke("weather?")
    result = ToolMessage("", tool_call_id=first.tool_calls[0]["id"])
    assert bound.invoke([HumanMessage("weather?"), first, result]).content == "The tool said: ."


@CLIENT.check("schema")
def schema(url: str) -> None:
    assert model(url).with_structured_output(Place).invoke("where?") == Place(city="Oslo", people=1)
    formed = model(url).with_structured_output(Place, method="json_schema")
    assert formed.invoke("where?") == Place(city="Oslo", people=1)


if __name__ == "__main__":
    CLIENT.main()
