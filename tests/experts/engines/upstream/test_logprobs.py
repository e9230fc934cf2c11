"""What a server tells of its tokens, in either form, and whatever else it may say there."""

from __future__ import annotations

from typing import Any

import pytest

from experts.engine import TokenLogprob
from experts.engines.upstream.logprobs import LEAST, read_logprobs


def test_chats_objects() -> None:
    top = [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -2, "bytes": None}]
    told = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": top}], "refusal": None}
    likeliest = (TokenLogprob(b"a", -0.5), TokenLogprob(b"b", -2.0))
    assert read_logprobs(told) == (TokenLogprob(b"a", -0.5, likeliest),)


def test_completions_lists() -> None:
    told = {"tokens": ["a", "b"], "token_logprobs": [None, -1], "top_logprobs": [None, {"b": -1, "a": -0.5}]}
    first, second = read_logprobs(told)
    assert first == TokenLogprob(b"a", LEAST)
    assert second == TokenLogprob(b"b", -1.0, (TokenLogprob(b"a", -0.5), TokenLogprob(b"b", -1.0)))


@pytest.mark.parametrize("told", [{"content": None}, {"content": []}, {}])
def test_nothing_told(told: dict[str, Any]) -> None:
    assert read_logprobs(told) == ()


@pytest.mark.parametrize("value", [None, float("-inf"), -1e9])
def test_the_impossible_is_as_unlikely_as_json_can_say(value: float | None) -> None:
    [one] = read_logprobs({"content": [{"token": "x", "logprob": value}]})
    assert one.logprob == LEAST
