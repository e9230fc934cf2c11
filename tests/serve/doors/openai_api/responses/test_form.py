"""The Responses door, over the wire: answers, streams, refusals, and responses that are kept and gone on from."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from protos import chat_pb2 as chat
from serve.access.keys import new_key
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until
from tests.serve.doors.openai_api.responses.test_events import events

RESPONSES = "/v1/responses"
(ADA, ADAS), (BOB, BOBS) = new_key(), new_key()
KEYS = {"access": {"keys": [{"name": "ada", "sha256": ADAS}, {"name": "bob", "sha256": BOBS}]}}
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object"}}
CALLED = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "input": "hello", **fields}


def heard(experts: FakeExperts) -> list[tuple[int, str]]:
    return [(message.role, message.content) for message in experts["coder"].requests[-1].conversation.messages]


async def test_a_response(http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]) -> None:
    response = await http.post(RESPONSES, json=asked(instructions="Be brief.", max_output_tokens=9))
    body = response.json()
    assert response.status_code == 200
    assert body["output"][0]["content"][0]["text"] == "Hello there!"
    assert (body["model"], body["status"], body["store"]) == ("coder", "completed", True)
    assert body["id"].startswith("resp_")
    assert body["usage"]["total_tokens"] == 10
    assert heard(experts) == [(chat.ROLE_SYSTEM, "Be brief."), (chat.ROLE_USER, "hello")]
    assert experts["coder"].requests[0].sampling.max_tokens == 9
    assert sample("moegate_requests_total", expert="coder", door="responses", outcome="ok") == 1


async def test_a_stream(http: httpx2.AsyncClient) -> None:
    response = await http.post(RESPONSES, json=asked(stream=True))
    assert response.headers["content-type"].startswith("text/event-stream")
    read = events(response.content)
    assert "".join(event["delta"] for event in read if event["type"].endswith("text.delta")) == "Hello there!"
    assert (read[-1]["type"], read[-1]["response"]["store"]) == ("response.completed", True)
    kept = await http.get(f"{RESPONSES}/{read[-1]['response']['id']}")
    assert kept.json() == read[-1]["response"]


async def test_going_on_from_a_response(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    first = (await http.post(RESPONSES, json=asked(instructions="Be brief."))).json()
    second = (await http.post(RESPONSES, json=asked(input="again", previous_response_id=first["id"]))).json()
    assert heard(experts) == [
        (chat.ROLE_USER, "hello"),
        (chat.ROLE_ASSISTANT, "Hello there!"),
        (chat.ROLE_USER, "again"),
    ]  # what was instructed before does not count any more
    assert experts["coder"].requests[-1].conversation.messages[1].name == "coder"
    await http.delete(f"{RESPONSES}/{first['id']}")
    third = await http.post(RESPONSES, json=asked(input="more", previous_response_id=second["id"]))
    assert third.status_code == 200
    assert len(heard(experts)) == 5
    assert third.json()["previous_response_id"] == second["id"]


async def test_a_calls_result_goes_on_from_the_call(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = [CALLED]
    first = (await http.post(RESPONSES, json=asked(tools=[FUNCTION]))).json()
    [call] = first["output"]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "add", '{"a": 1}')
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": ""}
    for fields in (
        {"input": [result], "previous_response_id": first["id"]},
        {"input": [{"role": "user", "content": "hello"}, {"type": "item_reference", "id": call["id"]}, result]},
        {"input": [{"role": "user", "content": "hello"}, call, result]},
    ):
        assert (await http.post(RESPONSES, json=asked(tools=[FUNCTION], **fields))).status_code == 200
        assert heard(experts) == [(chat.ROLE_USER, "hello"), (chat.ROLE_ASSISTANT, ""), (chat.ROLE_TOOL, "")]
        assert experts["coder"].requests[-1].conversation.messages[1].tool_calls[0].id == call["call_id"]


async def test_what_is_not_to_be_kept_is_not(http: httpx2.AsyncClient, tmp_path: Path) -> None:
    body = (await http.post(RESPONSES, json=asked(store=False))).json()
    assert body["store"] is False
    assert "responses.sqlite3" not in os.listdir(tmp_path)
    assert (await http.get(f"{RESPONSES}/{body['id']}")).status_code == 404


async def test_deleting(http: httpx2.AsyncClient) -> None:
    body = (await http.post(RESPONSES, json=asked())).json()
    where = f"{RESPONSES}/{body['id']}"
    assert (await http.get(where)).json() == body
    assert (await http.delete(where)).json() == {"id": body["id"], "object": "response", "deleted": True}
    for response in (await http.get(where), await http.delete(where)):
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (404, "response_not_found", "id")
    gone_on = await http.post(RESPONSES, json=asked(previous_response_id=body["id"]))
    assert (gone_on.status_code, gone_on.json()["error"]["param"]) == (404, "previous_response_id")


@pytest.mark.parametrize("overrides", [KEYS])
async def test_cancel_is_refused_with_what_to_do(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    adas, bobs = ({"authorization": f"Bearer {key}"} for key in (ADA, BOB))
    background = await http.post(RESPONSES, json=asked(background=True), headers=adas)
    assert (background.status_code, background.json()["error"]["param"]) == (400, "background")
    ended = (await http.post(RESPONSES, json=asked(), headers=adas)).json()["id"]
    experts["coder"].pauses[2] = asyncio.Event()
    async with http.stream("POST", RESPONSES, json=asked(stream=True), headers=adas) as response:
        first = await anext(line async for line in response.aiter_lines() if line.startswith("data: "))
        running = orjson.loads(first.removeprefix("data: "))["response"]["id"]
        for response_id, headers, status, code in (
            (ended, adas, 400, "invalid_value"),
            (ended, bobs, 404, "response_not_found"),
            (running, adas, 404, "response_not_found"),
            ("resp_1", adas, 404, "response_not_found"),
        ):
            refused = await http.post(f"{RESPONSES}/{response_id}/cancel", headers=headers)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"], error["param"]) == (status, code, "id")
            assert "close its connection" in error["message"]
    await until(lambda: experts["coder"].cancelled == 1)  # it was closed


@pytest.mark.parametrize("overrides", [KEYS])
async def test_a_key_sees_its_own_alone(http: httpx2.AsyncClient) -> None:
    adas, bobs = ({"authorization": f"Bearer {key}"} for key in (ADA, BOB))
    body = (await http.post(RESPONSES, json=asked(), headers=adas)).json()
    where = f"{RESPONSES}/{body['id']}"
    reference = {"type": "item_reference", "id": body["output"][0]["id"]}
    for status, headers in ((404, bobs), (200, adas)):
        gone_on = await http.post(RESPONSES, json=asked(previous_response_id=body["id"]), headers=headers)
        referred = await http.post(RESPONSES, json=asked(input=[reference]), headers=headers)
        deleted = (await http.delete(where, headers=headers)) if headers is bobs else None
        assert {gone_on.status_code, referred.status_code, (await http.get(where, headers=headers)).status_code} == {
            status
        }
        assert deleted is None or deleted.status_code == 404
    assert (await http.get(where)).status_code == 401


@pytest.mark.parametrize("overrides", [{"responses": {"store": False}}])
@pytest.mark.parametrize("param", ["store", "previous_response_id"])
async def test_without_a_store(http: httpx2.AsyncClient, param: str) -> None:
    fields: dict[str, Any] = {"store": True, "previous_response_id": "resp_1"}
    body = (await http.post(RESPONSES, json=asked())).json()
    assert body["store"] is False
    refused = await http.post(RESPONSES, json=asked(**{param: fields[param]}))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", param)
    assert (await http.get(f"{RESPONSES}/{body['id']}")).status_code == 404


@pytest.mark.parametrize("overrides", [{"responses": {"path": "/dev/null/responses.sqlite3"}}])
async def test_a_store_that_is_broken_fails_only_what_asks_for_it(http: httpx2.AsyncClient) -> None:
    quiet = await http.post(RESPONSES, json=asked())
    assert (quiet.status_code, quiet.json()["store"]) == (200, False)
    loud = await http.post(RESPONSES, json=asked(store=True))
    assert (loud.status_code, loud.json()["error"]["code"]) == (503, "storage_unavailable")
    *_, last = events((await http.post(RESPONSES, json=asked(store=True, stream=True))).content)
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "storage_unavailable")
    assert (await http.get(f"{RESPONSES}/resp_1")).status_code == 503


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"input": None}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"seed": 7}, 400, "seed"),
        ({"temperature": 3}, 400, "temperature"),
        ({"tools": [{**FUNCTION, "name": "a b"}]}, 400, "tools[0].name"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": 7}}}}, 400, "text.format"),
        ({"input": [{"type": "function_call_output", "call_id": "", "output": ""}]}, 400, "input[0].call_id"),
        (
            {
                "tools": [FUNCTION, {**FUNCTION, "name": "a b"}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "a b"}],
                },
            },
            400,
            "tools[1].name",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1_0"}]}, 404, "input[0].id"),
        ({"previous_response_id": "resp_1"}, 404, "previous_response_id"),
    ],
)
async def test_a_refusal_names_the_field(
    http: httpx2.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    response = await http.post(RESPONSES, json=asked(**fields))
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["type"]) == (status, param, "invalid_request_error"), error


async def test_an_expert_that_breaks_mid_stream(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after = 2
    *_, last = events((await http.post(RESPONSES, json=asked(stream=True))).content)
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "expert_failed")
    whole = await http.post(RESPONSES, json=asked())
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "expert_failed")
    assert (await http.get(f"{RESPONSES}/{last['response']['id']}")).status_code == 404


async def test_a_client_that_leaves_is_noticed(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].words, experts["coder"].gap_s = ["x"] * 1000, 0.01
    async with http.stream("POST", RESPONSES, json=asked(stream=True)) as response:
        await anext(response.aiter_bytes())
    await until(lambda: sample("moegate_requests_total", expert="coder", door="responses", outcome="cancelled"))
    await until(lambda: not experts["coder"].live)
