"""Anthropic's door, over the wire: answers, streams, refusals and keys in Anthropic's form."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from serve.access.keys import new_key
from tests.fakes.expert_server import FakeExperts
from tests.serve.doors.anthropic_api.asking import TOOL, USER, body_of, events

MESSAGES = "/v1/messages"
KEY, DIGEST = new_key()
NAMELESS = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": ""}]}
NO_SCHEMA = {"format": {"type": "json_schema", "schema": {"type": 7}}}


def asked(**fields: Any) -> dict[str, Any]:
    return body_of(model="coder", **fields)


async def test_a_whole_answer(http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]) -> None:
    response = await http.post(MESSAGES, json=asked(temperature=0.5, top_p=0.25, stop_sequences=["END"]))
    body = response.json()
    assert response.status_code == 200
    assert body["content"] == [{"type": "text", "text": "Hello there!", "citations": None}]
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (7, 3)
    assert body["id"].startswith("msg_")
    assert response.headers["request-id"] == response.headers["x-request-id"] == body["id"]
    assert response.headers["x-moegate-expert"] == "coder"
    sampling = experts["coder"].requests[0].sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, list(sampling.stop)) == (9, 0.5, 0.25, ["END"])
    assert sample("moegate_requests_total", expert="coder", door="messages", outcome="ok") == 1


async def test_a_stream(http: httpx2.AsyncClient) -> None:
    response = await http.post(MESSAGES, json=asked(stream=True))
    assert response.headers["content-type"].startswith("text/event-stream")
    read = events(response.content)
    text = "".join(event["delta"]["text"] for event in read if event["type"] == "content_block_delta")
    assert text == "Hello there!"
    assert read[-2]["delta"]["stop_reason"] == "end_turn"


async def test_a_call(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = ['<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>']
    body = (await http.post(MESSAGES, json=asked(tools=[TOOL]))).json()
    [block] = body["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "add", {"a": 1})
    assert body["stop_reason"] == "tool_use"


PAGE = {"type": "document", "source": {"type": "text", "data": "words"}}
LAST_PAGE = "messages[0].content[64].source"


@pytest.mark.parametrize(
    ("fields", "status", "kind", "param"),
    [
        ({"model": "nobody"}, 404, "not_found_error", "model"),
        ({"top_k": 4}, 400, "invalid_request_error", "top_k"),
        ({"stop_sequences": [""]}, 400, "invalid_request_error", "stop_sequences"),
        ({"tools": [{**TOOL, "name": "a b"}]}, 400, "invalid_request_error", "tools[0].name"),
        ({"tool_choice": {"type": "any"}}, 400, "invalid_request_error", "tool_choice"),
        ({"messages": [USER, NAMELESS]}, 400, "invalid_request_error", "messages[1].content[0].tool_use_id"),
        ({"messages": [{"role": "tool", "content": "a"}]}, 400, "invalid_request_error", "messages[0].role"),
        ({"messages": [{"role": "user", "content": [PAGE] * 65}]}, 400, "invalid_request_error", LAST_PAGE),
        ({"messages": []}, 400, "invalid_request_error", "messages"),
        ({"output_config": NO_SCHEMA}, 400, "invalid_request_error", "output_config.format"),
    ],
)
async def test_a_refusal_names_the_field(
    http: httpx2.AsyncClient, fields: dict[str, Any], status: int, kind: str, param: str
) -> None:
    response = await http.post(MESSAGES, json={**asked(), **fields})
    body = response.json()
    assert (response.status_code, body["type"], body["error"]["type"]) == (status, "error", kind), body
    assert body["error"]["param"] == param
    assert f"'{param}'" in body["error"]["message"] or param == "model"


async def test_an_expert_that_breaks_mid_stream(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after = 2
    *_, last = events((await http.post(MESSAGES, json=asked(stream=True))).content)
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    whole = await http.post(MESSAGES, json=asked())
    assert (whole.status_code, whole.json()["error"]["type"]) == (502, "api_error")


@pytest.mark.parametrize(
    ("version", "status"),
    [("2023-06-01", 200), ("2026-10-21", 200), ("2023-01-01", 400), ("latest", 400), ("", 400)],
)
async def test_the_versions(http: httpx2.AsyncClient, version: str, status: int) -> None:
    response = await http.post(MESSAGES, json=asked(), headers={"anthropic-version": version})
    assert response.status_code == status
    if status == 400:
        assert response.json()["error"]["param"] == "anthropic-version"


async def test_paths_and_methods_below_it_fail_in_its_form(http: httpx2.AsyncClient) -> None:
    wrong = await http.get(MESSAGES)
    missing = await http.post(f"{MESSAGES}/batches", json={})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("overrides", [{"access": {"keys": [{"name": "ada", "sha256": DIGEST}]}}])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": KEY}, 200),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "mg-wrong"}, 200),
        ({"authorization": "Bearer mg-wrong", "x-api-key": KEY}, 401),
        ({"x-api-key": "mg-wrong"}, 401),
        ({}, 401),
    ],
)
async def test_keys(http: httpx2.AsyncClient, headers: dict[str, str], status: int) -> None:
    response = await http.post(MESSAGES, json=asked(), headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.json()["error"]["type"] == "authentication_error"


async def test_a_foreign_page_is_refused_in_its_form(http: httpx2.AsyncClient) -> None:
    response = await http.post(MESSAGES, json=asked(), headers={"origin": "https://evil.example"})
    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")


async def test_a_count_is_what_usage_would_say(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    body = {name: value for name, value in asked(tools=[TOOL]).items() if name != "max_tokens"}
    response = await http.post(f"{MESSAGES}/count_tokens", json=body)
    assert (response.status_code, response.json()) == (200, {"input_tokens": 7})
    assert experts["coder"].requests[0].sampling.max_tokens == 1
    assert [tool.name for tool in experts["coder"].requests[0].conversation.tools] == ["add"]
    wrong = await http.post(f"{MESSAGES}/count_tokens", json={**body, "max_tokens": 3})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "max_tokens")
    old = await http.post(f"{MESSAGES}/count_tokens", json=body, headers={"anthropic-version": "2023-01-01"})
    assert old.status_code == 400
    assert sample("moegate_requests_total", expert="coder", door="messages", outcome="ok") == 1
