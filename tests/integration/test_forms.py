"""Tools, documents and JSON through everything: OpenAI's SDK, the gateway, Ray, and an engine."""

import json
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.ray

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
ROOM = 300  # tokens: ten times what the longest such answer needs; one that is cut off is no JSON, whatever holds it
TOOL = {"type": "function", "function": {"name": "get_time", "description": "The time", "parameters": PARAMETERS}}
CALL = '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>'


async def ask(sdk: openai.AsyncOpenAI, model: str, text: str, **fields: Any) -> Any:
    return await sdk.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **{"temperature": 0, **fields}
    )


async def test_what_an_engine_says_in_the_form_is_a_call(sdk: openai.AsyncOpenAI) -> None:
    asked = {"tools": [TOOL], "stop": ["END"], "max_tokens": 100}
    [choice] = (await ask(sdk, "researcher", f"{CALL} {CALL} END", **asked)).choices
    assert choice.finish_reason == "tool_calls"
    assert [call.function.arguments for call in choice.message.tool_calls] == ['{"city": "Oslo"}'] * 2
    stream = await ask(sdk, "researcher", f"{CALL} END", stream=True, **asked)
    deltas = [chunk.choices[0].delta async for chunk in stream]
    [head, *tail] = [piece for delta in deltas for piece in delta.tool_calls or ()]
    assert (head.id is not None, head.function.name) == (True, "get_time")
    assert "".join(piece.function.arguments for piece in tail) == '{"city": "Oslo"}'


async def test_documents_are_numbered_and_citations_resolved(sdk: openai.AsyncOpenAI) -> None:
    documents = [{"title": "Rain", "text": "It rains.", "url": "https://rain.example"}, "It snows [7]."]
    answer = await ask(sdk, "researcher", "When? END", stop=["END"], max_tokens=50, extra_body={"documents": documents})
    message = answer.choices[0].message
    assert " ".join(message.content.split()) == "Document [1](Title: Rain): It rains. Document [2]: It snows . When?"
    first, second = [annotation.url_citation for annotation in message.annotations]
    assert message.content[first.start_index : first.end_index] == "[1]"
    assert (first.title, first.url, second.title, second.url) == ("Rain", "https://rain.example", "", "")


async def test_a_call_that_is_asked_for_comes_and_follows_its_schema(sdk: openai.AsyncOpenAI) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    for choice in ("required", named):
        answer = await ask(
            sdk, "coder", "Time in Rome?", tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_tokens=ROOM
        )
        [told] = answer.choices
        assert told.finish_reason == "tool_calls", told
        [call] = told.message.tool_calls
        assert json.loads(call.function.arguments) in ({"city": "Oslo"}, {"city": "Rome"}), told


async def test_json_goes_to_the_expert_that_can_keep_to_it(sdk: openai.AsyncOpenAI) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": PARAMETERS}}
    answer = await ask(sdk, "auto", "Plan a weekend in Rome.", response_format=wanted, max_tokens=ROOM)
    assert answer.model == "coder"
    assert json.loads(answer.choices[0].message.content) in ({"city": "Oslo"}, {"city": "Rome"}), answer
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(sdk, "researcher", "Hello", response_format=wanted)
    assert caught.value.param == "response_format"


async def test_a_value_within_its_bounds_comes_back_and_the_verdict_is_told(sdk: openai.AsyncOpenAI) -> None:
    price = {"type": "object", "properties": {"v": {"type": "number", "minimum": 0, "maximum": 10}}, "required": ["v"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "price", "strict": True, "schema": price}}
    told = await sdk.chat.completions.with_raw_response.create(
        model="coder",
        messages=[{"role": "user", "content": 'Repeat exactly this JSON: {"v": 0.75}'}],
        response_format=wanted,  # type: ignore[arg-type]  # a dict, as users send
        temperature=0,
        max_tokens=ROOM,
        stop=["5", "\n"],
    )
    answer = told.parse()
    assert json.loads(answer.choices[0].message.content or "") == {"v": 0.75}
    assert (told.headers["x-moegate-form"], answer.choices[0].finish_reason) == ("ok", "stop")


async def test_a_stop_string_does_not_cut_a_call(sdk: openai.AsyncOpenAI) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": ROOM}
    for stop in ("\n", '"', "{", "Oslo"):
        [choice] = (await ask(sdk, "coder", "Time in Rome?", stop=[stop], **asked)).choices
        assert choice.finish_reason == "tool_calls", choice
        assert json.loads(choice.message.tool_calls[0].function.arguments) in ({"city": "Oslo"}, {"city": "Rome"})
    [cut] = (await ask(sdk, "coder", "Time in Rome?", **{**asked, "max_tokens": 3})).choices
    assert (cut.finish_reason, cut.message.content) == ("length", None) or "<tool" not in (cut.message.content or "")


async def test_an_expert_that_declines_hands_the_request_back(sdk: openai.AsyncOpenAI) -> None:
    """An echo begins as it is asked to, so this one declines; whom the words want begins alike, and has to answer."""
    text = "None of the tools, I fear: what time is it in Oslo now, and in Rome? END"
    fields: dict[str, Any] = {"tools": [TOOL], "max_tokens": 40, "stop": ["END"]}
    messages: Any = [{"role": "user", "content": text}]
    told = await sdk.chat.completions.with_raw_response.create(model="auto", messages=messages, temperature=0, **fields)
    assert told.headers["x-moegate-reason"] == "handed_back"
    assert told.headers["x-moegate-expert"] != "tool-caller"
    [choice] = told.parse().choices
    assert choice.message.tool_calls is None
    named = await ask(sdk, "tool-caller", text, **fields)
    assert named.choices[0].message.content.startswith("None of the tools, I fear")
