"""Log probabilities through every door that has a field for them: streamed and whole say the same."""

import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

WORDS = ["Hello", " thére", "!"]
TOLD = [(word, -0.25 * (i + 1)) for i, word in enumerate(WORDS)]
USER = {"role": "user", "content": "hi"}


@pytest.fixture
def catalog_file(tmp_path: Path, catalog_file: Path) -> Path:
    """Beside the scripted experts, one behind a server that tells what is asked of it."""
    catalog = yaml.safe_load(catalog_file.read_text())
    for entry in catalog["experts"]:
        if entry["name"] == "advisor":
            entry |= {"engine": "upstream", "engine_options": {"base_url": "http://127.0.0.1:1/v1", "model": "m"}}
    path = tmp_path / "with_upstream.yaml"
    path.write_text(yaml.safe_dump(catalog))
    return path


@pytest.fixture(autouse=True)
def words(experts: FakeExperts) -> None:
    for script in experts.scripts.values():
        script.words = list(WORDS)


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": [USER], "logprobs": True, **fields}


def events(body: str) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]


def pairs(told: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(token["token"], token["logprob"]) for token in told]


async def test_chat_whole(http: httpx2.AsyncClient) -> None:
    [choice] = (await http.post(CHAT, json=asked())).json()["choices"]
    assert pairs(choice["logprobs"]["content"]) == TOLD
    assert choice["logprobs"]["refusal"] is None
    assert bytes(choice["logprobs"]["content"][1]["bytes"]).decode() == " thére"
    assert all(token["top_logprobs"] == [] for token in choice["logprobs"]["content"])


async def test_chat_streamed(http: httpx2.AsyncClient) -> None:
    read = events((await http.post(CHAT, json=asked(stream=True))).text)
    choices = [event["choices"][0] for event in read]
    told = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]]
    assert pairs(told) == TOLD
    assert [pairs(choice["logprobs"]["content"])[0][0] for choice in choices if choice["delta"].get("content")] == WORDS
    assert choices[-1]["logprobs"] is None


async def test_those_of_the_likeliest_come_from_an_engine_that_tells_them(http: httpx2.AsyncClient) -> None:
    [choice] = (await http.post(CHAT, json=asked(model="advisor", top_logprobs=3))).json()["choices"]
    for token in choice["logprobs"]["content"]:
        assert [one["token"] for one in token["top_logprobs"]] == [token["token"], "other0", "other1"]


async def test_the_router_asks_none_that_cannot(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post(CHAT, json=asked(model="auto", top_logprobs=2, messages=[{**USER, "content": "sort()"}]))
    assert response.headers["x-moegate-expert"] == "advisor"
    assert experts["advisor"].requests[-1].sampling.top_logprobs == 2


async def test_a_bias_goes_to_the_named_expert_alone(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    body = {"model": "advisor", "messages": [USER], "logit_bias": {"17": -100}}
    assert (await http.post(CHAT, json=body)).status_code == 200
    assert dict(experts["advisor"].requests[-1].sampling.logit_bias) == {17: -100.0}
    error = (await http.post(CHAT, json={**body, "model": "auto"})).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "logit_bias")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_completions(http: httpx2.AsyncClient, is_stream: bool) -> None:
    body = {"model": "coder", "prompt": "hi", "logprobs": 0, "stream": is_stream}
    response = await http.post("/v1/completions", json=body)
    read = events(response.text) if is_stream else [response.json()]
    told = [event["choices"][0]["logprobs"] for event in read if event["choices"][0]["logprobs"]]
    assert [token for one in told for token in one["tokens"]] == WORDS
    assert [place for one in told for place in one["text_offset"]] == [0, 5, 11]
    assert all(one["top_logprobs"] is None for one in told)


async def test_completions_name_their_own_field(http: httpx2.AsyncClient) -> None:
    response = await http.post("/v1/completions", json={"model": "coder", "prompt": "hi", "logprobs": 2})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "logprobs")
    assert "'logprobs'" in error["message"]
    told = (await http.post("/v1/completions", json={"model": "advisor", "prompt": "hi", "logprobs": 2})).json()
    assert told["choices"][0]["logprobs"]["top_logprobs"][0] == {"Hello": -0.25, "other0": -2.0}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_each_of_several_answers_has_its_own(http: httpx2.AsyncClient, is_stream: bool) -> None:
    response = await http.post(CHAT, json=asked(n=2, stream=is_stream))
    found: dict[int, list[tuple[str, float]]] = {0: [], 1: []}
    for event in events(response.text) if is_stream else [response.json()]:
        for choice in event["choices"]:
            found[choice["index"]] += pairs((choice["logprobs"] or {"content": []})["content"])
    assert found == {0: TOLD, 1: TOLD}


RESPONSE = {"model": "coder", "input": "hi", "include": ["message.output_text.logprobs"]}


async def test_responses_whole_and_what_follows_them(http: httpx2.AsyncClient) -> None:
    first = (await http.post("/v1/responses", json=RESPONSE)).json()
    [part] = first["output"][0]["content"]
    assert pairs(part["logprobs"]) == TOLD
    assert part["logprobs"][0]["bytes"] == list(b"Hello")
    more = await http.post(
        "/v1/responses", json={"model": "coder", "input": "go on", "previous_response_id": first["id"]}
    )
    assert more.status_code == 200, more.text
    assert more.json()["output"][0]["content"][0]["logprobs"] == []


async def test_responses_streamed(http: httpx2.AsyncClient) -> None:
    read = events((await http.post("/v1/responses", json={**RESPONSE, "stream": True})).text)
    deltas = [event for event in read if event["type"] == "response.output_text.delta"]
    assert [(delta["delta"], pairs(delta["logprobs"])) for delta in deltas] == [
        (word, [pair]) for word, pair in zip(WORDS, TOLD, strict=True)
    ]
    assert "bytes" not in deltas[0]["logprobs"][0]
    [done] = [event for event in read if event["type"] == "response.output_text.done"]
    assert pairs(done["logprobs"]) == TOLD
    [part] = read[-1]["response"]["output"][0]["content"]
    assert pairs(part["logprobs"]) == TOLD


def message(**sampling: Any) -> pb.GenerateRequest:
    turn = chat.Message(role=chat.ROLE_USER, content="hi")
    return pb.GenerateRequest(
        model="coder", conversation=chat.Conversation(messages=[turn]), sampling=chat.Sampling(**sampling)
    )


async def test_grpc(stub: GatewayStub) -> None:
    whole = await stub.Complete(message(logprobs=True))
    assert [(token.token.decode(), token.logprob) for token in whole.logprobs] == TOLD
    streamed = [token async for chunk in stub.Generate(message(logprobs=True)) for token in chunk.logprobs]
    assert streamed == list(whole.logprobs)
    assert not (await stub.Complete(message())).logprobs
    with pytest.raises(grpc.aio.AioRpcError, match="'top_logprobs'"):
        await stub.Complete(message(logprobs=True, top_logprobs=1))


async def test_who_does_not_ask_is_told_nothing(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post(CHAT, json={"model": "coder", "messages": [USER], "stream": True})
    assert all(event["choices"][0]["logprobs"] is None for event in events(response.text))
    assert not experts["coder"].requests[-1].sampling.HasField("logprobs")


async def test_a_call_has_the_log_probabilities_of_what_was_written(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    said = ["<tool_call>", '{"name": "add", ', '"arguments": {}}', "</tool_call>"]
    experts["coder"].words = said
    tool = {"type": "function", "function": {"name": "add"}}
    [choice] = (await http.post(CHAT, json=asked(tools=[tool]))).json()["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "add"
    assert [token["token"] for token in choice["logprobs"]["content"]] == said


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"find": {"kind": "credentials"}, "at": ["output"], "action": "block"}, 400),
        ({"find": {"kind": "personal_data"}, "at": ["input"], "action": "mask", "restore": True}, 400),
        ({"find": {"kind": "credentials"}, "at": ["input"], "action": "block"}, 200),
    ],
)
class TestUnderGuard:
    @pytest.fixture
    def overrides(self, tmp_path: Path, rule: dict[str, Any]) -> dict[str, Any]:
        path = tmp_path / "guard.yaml"
        path.write_text(yaml.safe_dump({"rules": [{"name": "some", **rule}]}))
        return {"guard": {"rules": path}}

    async def test_tokens_tell_nothing_that_a_guard_takes_out(self, http: httpx2.AsyncClient, status: int) -> None:
        response = await http.post(CHAT, json=asked())
        assert response.status_code == status, response.text
        if status == 400:
            error = response.json()["error"]
            assert (error["code"], error["param"]) == ("unsupported_parameter", "logprobs")
        assert (await http.post(CHAT, json=asked(logprobs=None))).status_code == 200
