"""Who may come in, through both doors, and what a key may use."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx2
import openai
import pytest
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.cli import main
from serve.settings.tree import Settings, SettingsError, load_settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

CHAT = "/v1/chat/completions"
BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
KEY, OTHER = "mg-alpha", "mg-beta"
KEY_METRICS = {"moegate_key_requests", "moegate_key_tokens", "moegate_key_cost_usd"}  # a hundred keys at most
PROTO = pb.GenerateRequest(
    model="coder", conversation=chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hello")])
)


def entry(key: str, name: str, **limits: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), **limits}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def keyed(*keys: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("overrides", [{"access": {"keys": keys}}])


@keyed(entry(KEY, "alpha"), entry(OTHER, "beta"))
async def test_no_key_no_answer(http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts) -> None:
    for headers in ({}, bearer("mg-wrong"), {"authorization": KEY}, {"authorization": f"Basic {KEY}"}):
        for response in (
            await http.post(CHAT, json=BODY, headers=headers),
            await http.get("/v1/models", headers=headers),
        ):
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
            assert KEY not in response.text
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Complete(PROTO)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.ListExperts(pb.ListExpertsRequest())
    assert not experts["coder"].requests
    assert {(await http.get(path)).status_code for path in ("/health", "/ready", "/metrics")} == {200}


@keyed(entry(KEY, "alpha"), entry(OTHER, "beta"))
async def test_a_key_opens_both_doors_and_names_the_tenant(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (await http.post(CHAT, json=BODY, headers=bearer(KEY))).status_code == 200
    assert (await stub.Complete(PROTO, metadata=tuple(bearer(OTHER).items()))).text
    tenants = [record.tenant for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]
    assert tenants == ["alpha", "beta"]
    assert KEY not in caplog.text
    named = [line for line in (await http.get("/metrics")).text.splitlines() if "alpha" in line]
    assert {line.partition("{")[0].removesuffix("_total") for line in named} <= KEY_METRICS


@keyed(entry(KEY, "alpha", rpm=2, tpm=1000))
async def test_limits_are_told_and_kept(http: httpx2.AsyncClient, stub: GatewayStub, app: App) -> None:
    first = await http.post(CHAT, json={**BODY, "max_tokens": 50}, headers=bearer(KEY))
    assert first.status_code == 200
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert 990 <= int(first.headers["x-ratelimit-remaining-tokens"]) <= 1000  # 10 were used, the rest was given back
    second = await http.post(CHAT, json=BODY, headers=bearer(KEY))
    assert 980 <= int(second.headers["x-ratelimit-remaining-tokens"]) <= 1000
    third = await http.post(CHAT, json=BODY, headers=bearer(KEY))
    assert (third.status_code, third.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert third.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(third.headers["retry-after"]) <= 31
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Complete(PROTO, metadata=tuple(bearer(KEY).items()))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.value.trailing_metadata() or ())["x-ratelimit-limit-requests"] == "2"
    assert app.metrics.registry.get_sample_value("moegate_limited_requests_total", {"kind": "requests"}) == 2


@keyed(entry(KEY, "alpha", usd=0.00002))
async def test_a_budget_ends(http: httpx2.AsyncClient) -> None:
    codes = [(await http.post(CHAT, json=BODY, headers=bearer(KEY))) for _ in range(3)]  # 0.000013 USD each
    assert [response.status_code for response in codes] == [200, 200, 429]
    assert codes[2].json()["error"]["code"] == "insufficient_quota"


@keyed(entry(KEY, "alpha", rpm=1))
async def test_the_sdk_understands(app: App, http: httpx2.AsyncClient) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key=KEY, max_retries=0) as sdk:
        await sdk.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(openai.RateLimitError):
            await sdk.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}])
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="x", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()


def settings(**sections: Any) -> Settings:
    return load_settings(overrides=sections)


def test_the_command_refuses_to_start_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "--host", "0.0.0.0", "--port", "0", "--grpc-port", "0"]) == 1
    assert "no API key" in capsys.readouterr().err


def test_a_made_key_works_and_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "add", "alpha"]) == 0
    said = capsys.readouterr()
    key = said.err.split(": ")[1].strip()
    (kept,) = yaml.safe_load(said.out)
    assert key not in said.out
    assert kept == entry(key, "alpha")
    assert main(["key", "add", "not a name"]) == 1


@pytest.mark.parametrize("content", ["keys: [{name: a}]", "[", "keys: 7", "other: []"])
def test_a_keys_file_that_cannot_be_used_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match="keys_file"):
        App(settings(access={"keys_file": path}))


def test_a_name_twice_is_said() -> None:
    with pytest.raises(SettingsError, match="twice"):
        App(settings(access={"keys": [entry(KEY, "a"), entry(OTHER, "a")]}))


class TestChangedKeys:
    @pytest.fixture
    def keys_file(self, tmp_path: Path) -> Path:
        path = tmp_path / "keys.yaml"
        path.write_text(yaml.safe_dump([entry(KEY, "alpha", rpm=100), entry(OTHER, "beta")]))
        return path

    @pytest.fixture
    def overrides(self, keys_file: Path) -> dict[str, Any]:
        return {"access": {"keys_file": keys_file}}

    async def test_a_revoked_key_is_refused_and_what_it_has_begun_goes_on(
        self, app: App, http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, keys_file: Path
    ) -> None:
        experts["coder"].words, experts["coder"].gap_s = ["a"] * 20, 0.1
        async with http.stream("POST", CHAT, json={**BODY, "stream": True}, headers=bearer(KEY)) as response:
            write(keys_file, [entry(OTHER, "beta")])
            await until(lambda: refused(http, KEY))
            assert "[DONE]" in (await response.aread()).decode()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListExperts(pb.ListExpertsRequest(), metadata=(("authorization", f"Bearer {KEY}"),))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not await refused(http, OTHER)

    async def test_limits_change_and_a_file_that_is_broken_changes_nothing(
        self, app: App, http: httpx2.AsyncClient, keys_file: Path
    ) -> None:
        async def limit() -> str | None:
            return (await http.post(CHAT, json=BODY, headers=bearer(KEY))).headers.get("x-ratelimit-limit-requests")

        assert await limit() == "100"
        write(keys_file, [entry(KEY, "alpha", rpm=7000)])

        async def is_raised() -> bool:
            return await limit() == "7000"

        await until(is_raised)
        write(keys_file, [{"name": "nonsense"}])
        metric = "moegate_configuration_reloads_total"
        labels = {"configuration": "keys", "outcome": "refused"}
        await until(lambda: app.metrics.registry.get_sample_value(metric, labels) == 1)
        assert await limit() == "7000"

    async def test_without_the_last_key_the_doors_stay_shut(
        self, app: App, http: httpx2.AsyncClient, keys_file: Path
    ) -> None:
        write(keys_file, [])
        await until(lambda: refused(http, OTHER))
        assert (await http.get("/v1/models")).status_code == 401


async def refused(http: httpx2.AsyncClient, key: str) -> bool:
    return (await http.get("/v1/models", headers=bearer(key))).status_code == 401


def write(path: Path, entries: list[dict[str, Any]]) -> None:
    path.write_text(yaml.safe_dump(entries))
