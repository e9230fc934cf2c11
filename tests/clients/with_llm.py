"""Simon Willison's llm, by its Python API, with the model class that its `extra-openai-models.yaml` makes."""

import os
import tempfile
from typing import Any

os.environ.setdefault("LLM_USER_PATH", tempfile.mkdtemp())
from llm.default_plugins.openai_models import AsyncChat, Chat
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("llm")


class Place(BaseModel):
    """A place."""

    city: str
    people: int


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def model(url: str, name: str = "auto", kind: Any = Chat) -> Any:
    made = kind("moegate", model_name=name, api_base=f"{url}/v1", supports_schema=True, supports_tools=True)
    made.key = KEY
    return made


@CLIENT.check("chat")
def chat(url: str) -> None:
    talk = model(url).conversation()
    answer = talk.prompt("hello", system="Be brief.", stream=False)
    assert answer.text() == "You said: hello"
    assert answer.usage().output == 3
    assert talk.prompt("again", stream=False).text() == "You said: again"


@CLIENT.check("stream")
async def stream(url: str) -> None:
    assert "".join(model(url).prompt("hello")) == "You said: hello"
    pieces = [piece async for piece in model(url, kind=AsyncChat).prompt("hello")]
    assert "".join(pieces) == "You said: hello"


@CLIENT.check("tools")
def tools(url: str) -> None:
    for is_stream in (False, True):
        [call] = model(url).prompt("weather?", tools=[get_weather], stream=is_stream).tool_calls()
        assert (call.name, call.arguments) == ("get_weather", {"city": "Oslo"})


@CLIENT.check("empty tool result")
def empty_tool_result(url: str) -> None:
    for is_stream in (False, True):
        chain = model(url).chain("weather?", tools=[get_weather], stream=is_stream)
        assert chain.text() == "The tool said: ."


@CLIENT.check("schema")
def schema(url: str) -> None:
    for is_stream in (False, True):
        said = model(url).prompt("where?", schema=Place, stream=is_stream).text()
        assert Place.model_validate_json(said) == Place(city="Oslo", people=1)


@CLIENT.check("errors")
def errors(url: str) -> None:
    try:
        model(url, "nobody").prompt("hello", stream=False).text()
    except Exception as error:  # whichever it shows: the client's own, or one of llm's with its words
        assert "model_not_found" in str(error) or "no such" in str(error), error
    else:
        raise AssertionError("no error")


if __name__ == "__main__":
    CLIENT.main()
