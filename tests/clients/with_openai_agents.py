"""The OpenAI Agents SDK, with the Responses API, its default."""

import openai
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

from tests.clients.harness import KEY, Client

CLIENT = Client("openai-agents")
set_tracing_disabled(True)


class Place(BaseModel):
    """A place."""

    city: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """Say how the weather is."""
    return ""


def model(url: str) -> OpenAIResponsesModel:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    return OpenAIResponsesModel(model="auto", openai_client=client)


@CLIENT.check("chat")
async def chat(url: str) -> None:
    agent = Agent("a", instructions="Be brief.", model=model(url))
    assert (await Runner.run(agent, "hello")).final_output == "You said: hello"


@CLIENT.check("stream")
async def stream(url: str) -> None:
    run = Runner.run_streamed(Agent("a", model=model(url)), "hello")
    kinds = [event.type async for event in run.stream_events()]
    assert "raw_response_event" in kinds
    assert run.final_output == "You said: hello"


@CLIENT.check("tools")
async def tools(url: str) -> None:
    agent = Agent("a", model=model(url), tools=[get_weather], model_settings=ModelSettings(tool_choice="required"))
    result = await Runner.run(agent, "weather?")
    assert [item.type for item in result.new_items] == [
        "tool_call_item",
        "tool_call_output_item",
        "message_output_item",
    ]


@CLIENT.check("empty tool result")
async def empty_tool_result(url: str) -> None:
    result = await Runner.run(Agent("a", model=model(url), tools=[get_weather]), "weather?")
    assert result.final_output == "The tool said: ."


@CLIENT.check("schema")
async def schema(url: str) -> None:
    result = await Runner.run(Agent("a", model=model(url), output_type=Place), "where?")
    assert result.final_output == Place(city="Oslo", people=1)


@CLIENT.check("responses")
async def responses(url: str) -> None:
    agent = Agent("a", model=model(url))
    first = await Runner.run(agent, "hello")
    second = await Runner.run(agent, "again", previous_response_id=first.last_response_id)
    assert second.final_output == "You said: again"
    third = await Runner.run(agent, [*second.to_input_list(), {"role": "user", "content": "more"}])
    assert third.final_output == "You said: more"


if __name__ == "__main__":
    CLIENT.main()
