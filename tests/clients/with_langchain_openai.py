"""LangChain's ChatOpenAI."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.harness import KEY, Client

CLIENT = Client("langchain-openai")


class Place(BaseModel):
    """A place."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def model(url: str) -> ChatOpenAI:
    return ChatOpenAI(model="auto", base_url=f"{url}/v1", api_key=SecretStr(KEY), max_retries=0)


@CLIENT.check("chat")
def chat(url: str) -> None:
    assert model(url).invoke("hello").content == "You said: hello"


@CLIENT.check("stream")
def stream(url: str) -> None:
    assert "".join(str(piece.content) for piece in model(url).stream("hello")) == "You said: hello"


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


if __name__ == "__main__":
    CLIENT.main()
