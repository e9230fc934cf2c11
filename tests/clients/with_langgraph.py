"""A LangGraph agent (`langchain.agents.create_agent`), with chat completions and with the Responses API."""

from collections.abc import Iterator
from typing import Any

import openai
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, SecretStr

from tests.clients.harness import KEY, Client

CLIENT = Client("langgraph")


class Place(BaseModel):
    """A place."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def models(url: str, name: str = "auto") -> Iterator[ChatOpenAI]:
    for uses_responses in (False, True):
        yield ChatOpenAI(
            model=name,
            base_url=f"{url}/v1",
            api_key=SecretStr(KEY),
            max_retries=0,
            use_responses_api=uses_responses,
        )


def agents(url: str, tools: Any = (), **options: Any) -> Iterator[Any]:
    return (create_agent(model, list(tools), system_prompt="Be brief.", **options) for model in models(url))


def said(content: str) -> Any:
    return {"messages": [{"role": "user", "content": content}]}


@CLIENT.check("chat")
def chat(url: str) -> None:
    for agent in agents(url, checkpointer=InMemorySaver()):
        thread: Any = {"configurable": {"thread_id": "1"}}
        assert agent.invoke(said("hello"), thread)["messages"][-1].text == "You said: hello"
        assert agent.invoke(said("again"), thread)["messages"][-1].text == "You said: again"


@CLIENT.check("stream")
async def stream(url: str) -> None:
    for agent in agents(url):
        pieces = [piece async for piece, _ in agent.astream(said("hello"), stream_mode="messages")]
        assert "".join(piece.text for piece in pieces) == "You said: hello"


@CLIENT.check("tools")
def tools(url: str) -> None:
    for agent in agents(url, [get_weather]):
        [_, call, result, answer] = agent.invoke(said("weather?"))["messages"]
        assert [(one["name"], one["args"]) for one in call.tool_calls] == [("get_weather", {"city": "Oslo"})]
        assert (result.type, answer.type) == ("tool", "ai")


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    for agent in agents(url, [get_weather]):
        assert agent.invoke(said("weather?"))["messages"][-1].text == "The tool said: ."
        *_, last = agent.stream(said("weather?"), stream_mode="values")
        assert last["messages"][-1].text == "The tool said: ."


@CLIENT.check("schema")
def schema(url: str) -> None:
    for strategy in (ProviderStrategy, ToolStrategy):
        for agent in agents(url, response_format=strategy(Place)):
            assert agent.invoke(said("where?"))["structured_response"] == Place(city="Oslo", people=1)
    for agent in agents(url, [get_weather], response_format=ProviderStrategy(Place)):
        assert agent.invoke(said("where?"))["structured_response"] == Place(city="Oslo", people=1)


@CLIENT.check("errors")
def errors(url: str) -> None:
    for model in models(url, "nobody"):
        try:
            create_agent(model, []).invoke(said("hello"))
        except openai.NotFoundError as error:
            assert (error.code, error.param) == ("model_not_found", "model")
        else:
            raise AssertionError("no error")


@CLIENT.check("responses")
def responses(url: str) -> None:
    _, model = models(url)
    first = model.invoke("hello")
    again = model.invoke("again", previous_response_id=first.response_metadata["id"])
    assert again.text == "You said: again"


if __name__ == "__main__":
    CLIENT.main()
