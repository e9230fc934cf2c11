"""Pydantic AI, with chat completions and with the Responses API: every check is made with both."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.harness import KEY, Client

CLIENT = Client("pydantic-ai", "pydantic-ai-slim")


class Place(BaseModel):
    """A place, of parts that OpenAI's strict schemas may have."""

    city: str = Field(min_length=1)
    people: int = Field(gt=0)
    nickname: str | None


OSLO = Place(city="Oslo", people=1, nickname="Oslo")


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def models(url: str, name: str = "auto") -> Iterator[Model]:
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)
    yield OpenAIChatModel(name, provider=provider)
    yield OpenAIResponsesModel(name, provider=provider)


def agents(url: str, **options: Any) -> Iterator[Agent[None, Any]]:
    return (Agent(model, instructions="Be brief.", **options) for model in models(url))


@CLIENT.check("chat")
async def chat(url: str) -> None:
    for agent in agents(url):
        result = await agent.run("hello")
        assert result.output == "You said: hello"
        assert result.usage.output_tokens == 3
        again = await agent.run("again", message_history=result.all_messages())
        assert again.output == "You said: again"


@CLIENT.check("stream")
async def stream(url: str) -> None:
    for agent in agents(url):
        async with agent.run_stream("hello") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        assert "".join(pieces) == "You said: hello"
        assert len(pieces) > 1


@CLIENT.check("tools")
async def tools(url: str) -> None:
    for agent in agents(url, tools=[get_weather]):
        result = await agent.run("weather?")
        [call] = [part for message in result.all_messages() for part in message.parts if part.part_kind == "tool-call"]
        assert (call.tool_name, call.args_as_dict()) == ("get_weather", {"city": "Oslo"})


@CLIENT.check("empty tool result")
async def empty_tool_result(url: str) -> None:
    for agent in agents(url, tools=[get_weather]):
        assert (await agent.run("weather?")).output == "The tool said: ."
        async with agent.run_stream("weather?") as result:
            assert await result.get_output() == "The tool said: ."


@CLIENT.check("schema")
async def schema(url: str) -> None:
    wanted: list[Callable[..., Any]] = [NativeOutput, lambda kind: kind]
    for wish in wanted:
        for agent in agents(url, output_type=wish(Place)):
            assert (await agent.run("where?")).output == OSLO
    for agent in agents(url, output_type=NativeOutput(Place), tools=[get_weather]):
        assert (await agent.run("where?")).output == OSLO


@CLIENT.check("errors")
async def errors(url: str) -> None:
    for model in models(url, "nobody"):
        try:
            await Agent(model).run("hello")
        except ModelHTTPError as error:
            assert (error.status_code, error.body["code"]) == (404, "model_not_found")
        else:
            raise AssertionError("no error")


@CLIENT.check("responses")
async def responses(url: str) -> None:
    _, model = models(url)
    agent = Agent(model)
    first = await agent.run("hello")
    named: Any = {"openai_previous_response_id": first.response.provider_response_id}
    assert (await agent.run("again", model_settings=named)).output == "You said: again"


if __name__ == "__main__":
    CLIENT.main()
