"""Web pages at the HTTP door: who may call, who is turned away, what a preflight is told."""

import hashlib
from typing import Any

import httpx2
import pytest

from serve.doors.http_api.cross_origin import OriginGuard
from serve.errors import ForeignOrigin
from serve.settings.doors import CorsSettings, HttpSettings
from serve.settings.tree import SettingsError, load_settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
APP = "https://app.example.org"
KEY = "mg-alpha"
KEYS = [{"name": "alpha", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}


def allowing(*origins: str, keys: list[Any] | None = None) -> Any:
    sections = {"http": {"cors": {"allow_origins": origins}}, "access": {"keys": keys or []}}
    return pytest.mark.parametrize("overrides", [sections])


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "https://evil.example", "host": "evil.example"},  # DNS rebinding
        {"origin": "http://evil.example:8000", "host": "evil.example:8000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/feedback"])
async def test_a_foreign_page_does_nothing(
    http: httpx2.AsyncClient, experts: FakeExperts, path: str, headers: dict[str, str]
) -> None:
    response = await http.post(path, json=BODY, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers
    assert not experts["coder"].requests


async def test_our_own_page_may(http: httpx2.AsyncClient) -> None:
    own = str(http.base_url).rstrip("/")
    for headers in ({"origin": own}, {"origin": own, "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}):
        assert (await http.post(CHAT, json=BODY, headers=headers)).status_code == 200
    assert (await http.get("/v1/models", headers={"sec-fetch-site": "cross-site"})).status_code == 200  # a link


@pytest.mark.parametrize(
    ("listens_on", "origin", "host", "is_own"),
    [
        ("127.0.0.1", "http://localhost:8000", "localhost:8000", True),
        ("127.0.0.1", "http://[::1]:8000", "[::1]:8000", True),
        ("127.0.0.1", "http://[::1]", "[::1]", True),
        ("127.0.0.1", "http://moegate.localhost:8000", "moegate.localhost:8000", True),
        ("127.0.0.1", "http://LOCALHOST:8000", "localhost:8000", True),
        ("127.0.0.1", "http://localhost.evil.example", "localhost.evil.example", False),
        ("127.0.0.1", "http://127.0.0.1.evil.example:8000", "127.0.0.1.evil.example:8000", False),
        ("127.0.0.1", "http://localhost:8000", "localhost:8001", False),
        ("127.0.0.1", "http://localhost:8000", "", False),
        ("0.0.0.0", "https://gateway.example.org", "gateway.example.org", True),
        ("0.0.0.0", "https://evil.example", "gateway.example.org", False),
    ],
)
def test_which_page_is_ours(listens_on: str, origin: str, host: str, is_own: bool) -> None:
    guard = OriginGuard(HttpSettings(host=listens_on), has_keys=False)
    scope = {"method": "POST", "headers": [(b"host", host.encode()), (b"origin", origin.encode())]}
    if is_own:
        guard.check(scope)
    else:
        with pytest.raises(ForeignOrigin):
            guard.check(scope)


@allowing(keys=KEYS)
async def test_where_a_key_is_asked_for_the_key_is_the_permission(http: httpx2.AsyncClient) -> None:
    page = {"origin": "https://evil.example"}
    assert (await http.post(CHAT, json=BODY, headers=page)).status_code == 401
    answer = await http.post(CHAT, json=BODY, headers={**page, "authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers  # and a browser shows it to no page
    assert (await http.options(CHAT, headers={**page, **ASKED})).status_code == 405


@allowing(APP, keys=KEYS)
async def test_a_preflight_needs_no_key(http: httpx2.AsyncClient) -> None:
    answer = await http.options(CHAT, headers={"origin": APP, **ASKED})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "600"
    private = {"access-control-request-private-network": "true"}  # Chrome, from a public page to a private address
    answer = await http.options(CHAT, headers={"origin": APP, **ASKED, **private})
    assert answer.headers["access-control-allow-private-network"] == "true"
    refused = await http.options(CHAT, headers={"origin": "https://evil.example", **ASKED})
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


@allowing(APP, "http://localhost:3000")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_allowed_page_reads_answers_and_errors(http: httpx2.AsyncClient, is_stream: bool) -> None:
    for origin in (APP, "http://localhost:3000"):
        for body, status in (
            ({**BODY, "stream": is_stream}, 200),
            ({**BODY, "functions": [{"name": "f"}]}, 400),
            ({}, 400),
        ):
            answer = await http.post(CHAT, json=body, headers={"origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, origin)
            assert "x-moegate-expert" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
    other = await http.post(CHAT, json=BODY, headers={"origin": "https://evil.example"})
    assert other.status_code == 403


@allowing("*")
async def test_any_page(http: httpx2.AsyncClient) -> None:
    answer = await http.post(CHAT, json=BODY, headers={"origin": "null"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize("origin", ["app.example.org", "https://app.example.org/", "https://a/b", "", "http://a b"])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(SettingsError, match="allow_origins"):
        load_settings(overrides={"http": {"cors": {"allow_origins": [origin]}}})


@pytest.mark.parametrize(
    ("listens_on", "host", "is_answered"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:8000", True),
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "", True),
        ("127.0.0.1", "listed.example", True),
        ("127.0.0.1", "listed.example:8000", False),
        ("127.0.0.1", "evil.example:8000", False),
        ("0.0.0.0", "gateway.example", True),
    ],
)
def test_by_which_name_a_gateway_on_loopback_is_read(listens_on: str, host: str, is_answered: bool) -> None:
    cors = CorsSettings(allow_origins=("https://listed.example",))
    guard = OriginGuard(HttpSettings(host=listens_on, cors=cors), has_keys=False)
    scope = {"type": "http", "method": "GET", "headers": [(b"host", host.encode())]}
    if is_answered:
        guard.check(scope)
        return
    with pytest.raises(ForeignOrigin):
        guard.check(scope)
    guard.check({**scope, "method": "POST"})  # a browser says where a POST is from, so a program sends this one
    OriginGuard(HttpSettings(host=listens_on), has_keys=True).check(scope)
