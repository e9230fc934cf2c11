"""The input of a kept response as items: what they say, their pages, and whose they are."""

from typing import Any

import httpx2
import openai
import orjson
import pytest

from protos import chat_pb2 as chat
from serve.access.keys import new_key
from serve.app import App
from serve.doors.openai_api.responses.input_items import Page, input_items, page_body, read_page
from serve.doors.openai_api.responses.store import Stored
from serve.errors import InvalidRequest
from tests.fakes.expert_server import FakeExperts

RESPONSES = "/v1/responses"
(ADA, ADAS), (BOB, BOBS) = new_key(), new_key()
KEYS = {"access": {"keys": [{"name": "ada", "sha256": ADAS}, {"name": "bob", "sha256": BOBS}]}}
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object"}}
CALLED = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'


def said(role: chat.Role, content: str = "", **fields: Any) -> chat.Message:
    return chat.Message(role=role, content=content, **fields)


def stored(*messages: chat.Message, output: str = "message") -> Stored:
    body = orjson.dumps({"output": [{"type": output}] if output else []})
    return Stored("resp_1", "", body, chat.Conversation(messages=messages))


def test_every_kind_of_item() -> None:
    calls = [chat.ToolCall(id="c1", name="add", arguments="{}"), chat.ToolCall(id="c2", name="add", arguments="{}")]
    items = input_items(
        stored(
            said(chat.ROLE_SYSTEM, "Be brief."),
            said(chat.ROLE_USER, "hello"),
            said(chat.ROLE_ASSISTANT, "Well."),
            said(chat.ROLE_ASSISTANT, "Let me see.", tool_calls=calls),
            said(chat.ROLE_TOOL, "", tool_call_id="c1"),
            said(chat.ROLE_ASSISTANT, "The answer."),
        )
    )
    assert [(item["type"], item.get("role"), item["id"]) for item in items] == [
        ("message", "system", "msg_1_in0"),
        ("message", "user", "msg_1_in1"),
        ("message", "assistant", "msg_1_in2"),
        ("message", "assistant", "msg_1_in3"),
        ("function_call", None, "fc_1_in4"),
        ("function_call", None, "fc_1_in5"),
        ("function_call_output", None, "fco_1_in6"),
    ]
    assert items[1]["content"] == [{"type": "input_text", "text": "hello"}]
    assert items[3]["content"][0] == {"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}
    assert (items[5]["call_id"], items[6]["call_id"], items[6]["output"]) == ("c2", "c1", "")
    assert {item["status"] for item in items} == {"completed"}


@pytest.mark.parametrize("output", ["", "file_search_call"])
def test_an_answer_without_words_leaves_the_last_turn_to_the_input(output: str) -> None:
    assert len(input_items(stored(said(chat.ROLE_USER, "hello"), output=output))) == 1


ITEMS = [{"id": f"i{n}"} for n in range(5)]


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({}, "43210", False),
        ({"order": "asc"}, "01234", False),
        ({"limit": "2"}, "43", True),
        ({"limit": "2", "after": "i3"}, "21", True),
        ({"limit": "2", "order": "asc", "after": "i2"}, "34", False),
        ({"after": "i0"}, "", False),
    ],
)
def test_pages(query: dict[str, str], ids: str, has_more: bool) -> None:
    page = orjson.loads(page_body(ITEMS, read_page(query)))
    assert [item["id"] for item in page["data"]] == [f"i{n}" for n in ids]
    ends = (f"i{ids[0]}", f"i{ids[-1]}") if ids else (None, None)
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", *ends, has_more)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "-1"}, {"limit": "٣"}, {"order": "up"}])
def test_what_is_no_page(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_page(query)
    assert [refused.value.param] == list(query)


def test_after_names_an_item_of_the_response() -> None:
    with pytest.raises(InvalidRequest) as refused:
        page_body(ITEMS, Page(20, True, "i9"))
    assert refused.value.param == "after"


async def test_openais_client_reads_every_page(app: App, experts: FakeExperts) -> None:
    experts["coder"].words = [CALLED]
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as client:
        tools: Any = [FUNCTION]
        first = await client.responses.create(model="coder", input="2 + 2?", instructions="Be brief.", tools=tools)
        [call] = first.output
        assert call.type == "function_call"
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "4"}]
        experts["coder"].words = ["Four."]
        second = await client.responses.create(
            model="coder", input=result, previous_response_id=first.id, tools=tools, stream=False
        )
        page = await client.responses.input_items.list(second.id, limit=2, order="asc")
        assert page.has_more
        kinds = [item.type async for item in page]
        assert kinds == ["message", "function_call", "function_call_output"]
        [newest] = (await client.responses.input_items.list(second.id, limit=1)).data
        assert newest.type == "function_call_output" and (newest.call_id, newest.output) == (call.call_id, "4")
        [asked] = (await client.responses.input_items.list(first.id)).data
        assert asked.type == "message" and asked.role == "user"
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_items.list("resp_1")
        count = await client.responses.input_tokens.count(model="coder", input="hello", tools=tools)
        assert (count.input_tokens, count.object) == (7, "response.input_tokens")


@pytest.mark.parametrize("overrides", [KEYS])
async def test_a_key_sees_its_own_alone(http: httpx2.AsyncClient) -> None:
    adas, bobs = ({"authorization": f"Bearer {key}"} for key in (ADA, BOB))
    response = (await http.post(RESPONSES, json={"model": "coder", "input": "hello"}, headers=adas)).json()
    where = f"{RESPONSES}/{response['id']}/input_items"
    assert [(await http.get(where, headers=headers)).status_code for headers in (adas, bobs, {})] == [200, 404, 401]
    wrong = await http.get(f"{where}?limit=900", headers=adas)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "limit")


async def test_a_count_is_what_usage_would_say_and_nothing_is_kept(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    body = {"model": "coder", "input": "hello", "instructions": "Be brief.", "tools": [FUNCTION], "stream": True}
    counted = await http.post(f"{RESPONSES}/input_tokens", json=body)
    assert (counted.status_code, counted.json()) == (200, {"object": "response.input_tokens", "input_tokens": 7})
    [heard] = experts["coder"].requests
    assert (heard.sampling.max_tokens, len(heard.conversation.messages), len(heard.conversation.tools)) == (1, 2, 1)
    wrong = await http.post(f"{RESPONSES}/input_tokens", json={"model": "coder"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "input")
