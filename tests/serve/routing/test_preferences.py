"""What a caller asks of routing, at both doors: read, refused by name, obeyed."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx2
import pytest
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.errors import InvalidRequest
from serve.request import CallerPreferences
from serve.routing.preferences import read_preferences
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

CODE = {"role": "user", "content": "Fix this Python function: def f(x) return x"}
DOUBTFUL = "Can you look at my script and tell me if it is fine?"  # code most likely, and something else well may be


def read(headers: dict[str, str], **fields: Any) -> CallerPreferences:
    return read_preferences(headers.get, **{"quality_cost": None, "ttft_target_ms": None} | fields)


def test_the_field_wins_over_the_header() -> None:
    headers = {
        "x-moegate-quality-cost": "0.25",
        "x-moegate-ttft-target-ms": "500",
        "x-moegate-previous-expert": "coder",
    }
    assert read(headers) == CallerPreferences(0.25, 500.0, "coder")
    assert read(headers, quality_cost=0.5, previous_expert="advisor") == CallerPreferences(0.5, 500.0, "advisor")
    assert read({}) == CallerPreferences()


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "inf", "much", ""])
def test_a_header_out_of_range_is_named(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({"x-moegate-quality-cost": value})
    assert caught.value.param == "x-moegate-quality-cost"


async def test_http_refuses_by_name(http: httpx2.AsyncClient) -> None:
    for body, headers, param in (
        ({"quality_cost": 1.5}, {}, "quality_cost"),
        ({"quality_cost": "cheap"}, {}, "quality_cost"),
        ({"ttft_target_ms": 0}, {}, "ttft_target_ms"),
        ({}, {"x-moegate-quality-cost": "2"}, "x-moegate-quality-cost"),
        ({}, {"x-moegate-ttft-target-ms": "soon"}, "x-moegate-ttft-target-ms"),
        ({}, {"x-moegate-previous-expert": "gpt-9"}, "x-moegate-previous-expert"),
    ):
        response = await http.post(CHAT, json={"messages": [CODE], **body}, headers=headers)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param
        assert response.headers["x-moegate-error-code"] == "invalid_value"


def request(content: str = CODE["content"], **fields: Any) -> pb.GenerateRequest:
    message = chat.Message(role=chat.ROLE_USER, content=content)
    return pb.GenerateRequest(conversation=chat.Conversation(messages=[message]), **fields)


async def test_grpc_refuses_by_name(stub: GatewayStub) -> None:
    for message, metadata, param in (
        (request(quality_cost=-0.5), (), "quality_cost"),
        (request(quality_cost=float("nan")), (), "quality_cost"),
        (request(ttft_target_ms=0), (), "ttft_target_ms"),
        (request(previous_expert="gpt-9"), (), "previous_expert"),
        (request(), (("x-moegate-quality-cost", "2"),), "x-moegate-quality-cost"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Route(message, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert dict(caught.value.trailing_metadata() or ())["x-moegate-error-param"] == param


async def test_equal_prices_the_knob_changes_nothing(stub: GatewayStub) -> None:
    plain = await stub.Route(request())
    cheap = await stub.Route(request(quality_cost=1.0))
    assert [one.expert for one in cheap.ranking] == [one.expert for one in plain.ranking]


@pytest.fixture
def dear_coder(catalog_file: Any) -> None:
    content = yaml.safe_load(catalog_file.read_text())
    for entry in content["experts"]:
        dear = entry["name"] != "generalist"
        entry["price"] = {"usd_per_million": {"prompt": 50.0 if dear else 0.1, "completion": 99.0 if dear else 0.1}}
    catalog_file.write_text(yaml.safe_dump(content))


async def test_unequal_prices_the_knob_moves_the_choice(dear_coder: None, http: httpx2.AsyncClient) -> None:
    async def expert(**extra: Any) -> str:
        asked = {"role": "user", "content": DOUBTFUL}
        response = await http.post(CHAT, json={"messages": [asked], **extra.pop("body", {})}, **extra)
        return str(response.headers["x-moegate-expert"])

    assert await expert() == "coder"
    assert await expert(body={"quality_cost": 1}) == "generalist"
    assert await expert(headers={"x-moegate-quality-cost": "1"}) == "generalist"
    assert await expert(body={"quality_cost": 0}, headers={"x-moegate-quality-cost": "1"}) == "coder"


@pytest.mark.parametrize("overrides", [{"router": {"quality_cost": 1.0}}])
async def test_the_settings_hold_where_the_caller_says_nothing(dear_coder: None, stub: GatewayStub) -> None:
    assert (await stub.Route(request(DOUBTFUL))).expert == "generalist"
    assert (await stub.Route(request(DOUBTFUL, quality_cost=0.0))).expert == "coder"


@pytest.mark.parametrize("overrides", [{"router": {"abstain_below": 1.0}}])
async def test_the_operators_threshold_holds(stub: GatewayStub) -> None:
    assert (await stub.Route(request())).reason == pb.REASON_ABSTAINED


async def test_a_conversation_stays_with_whom_the_caller_names(http: httpx2.AsyncClient) -> None:
    after = [CODE, {"role": "assistant", "content": "def f(x): return x"}, {"role": "user", "content": "shorter"}]
    inferred = await http.post(CHAT, json={"messages": after})
    assert inferred.headers["x-moegate-expert"] == "coder"
    said = await http.post(CHAT, json={"messages": after}, headers={"x-moegate-previous-expert": "advisor"})
    assert (said.headers["x-moegate-expert"], said.headers["x-moegate-reason"]) == ("advisor", "sticky")
    named = [CODE, {"role": "assistant", "name": "advisor", "content": "def f(x): return x"}, after[2]]
    assert (await http.post(CHAT, json={"messages": named})).headers["x-moegate-expert"] == "advisor"
    strange = [CODE, {"role": "assistant", "name": "Robbie", "content": "def f(x): return x"}, after[2]]
    assert (await http.post(CHAT, json={"messages": strange})).headers["x-moegate-expert"] == "coder"


async def test_answers_teach_how_fast_an_expert_is(
    http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, app: App
) -> None:
    experts["coder"].first_s = 0.2
    for _ in range(3):
        await http.post(CHAT, json={"model": "coder", "messages": [CODE]})
    estimate = app.gateway.health.experts["coder"].estimate
    assert estimate.first_token.mean == pytest.approx(0.2, abs=0.1)
    assert estimate.completion_tokens.mean == 3
    patient = await stub.Route(request(ttft_target_ms=60_000))
    assert patient.expert == "coder"
    hurried = await stub.Route(request(ttft_target_ms=50))
    by_name = {one.expert: at for at, one in enumerate(hurried.ranking)}
    assert by_name["coder"] > 0 or patient.ranking[1].probability < hurried.confidence - 0.5


async def test_open_streams_count_as_queue(app: App, http: httpx2.AsyncClient, sample: Callable[..., float]) -> None:
    health = app.gateway.health
    assert health.queue_len("coder") == 0
    app._dispatcher.in_flight["coder"] += 4
    assert health.queue_len("coder") == 4
    app._dispatcher.in_flight["coder"] -= 4
    await http.post(CHAT, json={"model": "coder", "messages": [CODE]})
    assert app._dispatcher.in_flight["coder"] == 0
    assert health.queue_len("coder") == 3  # as its last message said: one running, two waiting
