"""What a catalogue entry may say of its server, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from experts.catalog.engine_limits import not_honoured, refused_settings
from experts.conversation.sampling import resolve_sampling
from experts.engine import GenerationInput, Sampling, Turn
from experts.engines.factory import UnsupportedEngine, build_engine, check_engine
from experts.engines.upstream.options import UpstreamOptions
from experts.engines.upstream.request import call_body
from protos import chat_pb2
from tests.experts.entries import expert_spec

URL = "https://models.example.org/v1"


def entry(**options: Any) -> Any:
    return expert_spec(engine="upstream", engine_options={"base_url": URL, "model": "m"} | options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"base_url": "models.example.org/v1"}, "base_url"),
        ({"base_url": "ftp://models.example.org"}, "base_url"),
        ({"base_url": "https://user:sk-1@models.example.org/v1"}, "base_url"),
        ({"base_url": "https://models.example.org/v1?key=sk-1"}, "base_url"),
        ({"model": ""}, "model"),
        ({"api_key": "sk-1"}, "api_key"),
        ({"api_key_env": "sk-1"}, "api_key_env"),
        ({"headers": {"Authorization": "Bearer sk-1"}}, "headers"),
        ({"headers": {"api-key": "sk-1"}}, "headers"),
        ({"connect_timeout_s": 0}, "connect_timeout_s"),
        ({"tls": {"ca": "x"}}, "tls.ca"),
        ({"tools": "maybe"}, "tools"),
    ],
)
def test_a_wrong_option_is_refused_by_name_and_without_its_value(options: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedEngine) as raised:
        check_engine(entry(**options))
    assert f"engine_options: {field}:" in str(raised.value)
    assert "sk-1" not in str(raised.value)


def test_a_secret_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THEIR_KEY", raising=False)
    with pytest.raises(UnsupportedEngine, match="api_key_env: the variable THEIR_KEY is not set"):
        build_engine(entry(api_key_env="THEIR_KEY"), None)
    monkeypatch.setenv("THEIR_KEY", "two\nlines")
    with pytest.raises(UnsupportedEngine, match="cannot stand in a header") as raised:
        build_engine(entry(api_key_env="THEIR_KEY"), None)
    assert "lines" not in str(raised.value)


async def test_a_tls_file_that_is_not_there_is_named() -> None:
    engine = build_engine(entry(tls={"ca_file": "/nowhere.pem"}), None)
    with pytest.raises(Exception, match=r"engine_options\.tls"):
        await engine.start()


def test_settings_that_the_server_does_not_honour_are_the_catalogues_to_tell() -> None:
    spec = entry().model_copy(update={"not_honoured": ("seed",)})
    assert set(not_honoured(spec)) == {"min_tokens", "ignore_eos", "seed"}
    assert refused_settings(spec, chat_pb2.Sampling(seed=3)) == ("seed",)
    assert refused_settings(spec, chat_pb2.Sampling(presence_penalty=1)) == ()
    assert "seed" not in build_engine(spec, None).capabilities.sampling


def test_only_what_was_asked_is_sent() -> None:
    spec = entry()
    sampling = resolve_sampling(chat_pb2.Sampling(temperature=0.3, top_p=0.9, seed=7, stop=["\n"]), spec)
    request = GenerationInput((Turn("user", "hi"),), sampling)
    sent = call_body(UpstreamOptions.model_validate(spec.engine_options), request, 8192)
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["stop"]) == (0.3, 0.9, 7, ["\n"])
    assert "presence_penalty" not in sent
    plain = UpstreamOptions(base_url=URL, model="m", temperature=False, max_tokens_field="max_completion_tokens")
    sent = call_body(plain, request, 8192)
    assert not {"temperature", "top_p", "max_tokens"} & sent.keys()
    assert sent["max_completion_tokens"] == 512


def test_an_answer_is_asked_no_longer_than_the_window() -> None:
    request = GenerationInput((Turn("user", "x" * 400),), Sampling(max_tokens=500))
    options = UpstreamOptions(base_url=URL, model="m")
    assert call_body(options, request, 300)["max_tokens"] == 300 - 104
    assert call_body(options, request, 50)["max_tokens"] == 500  # the server says that it does not fit
