"""What a request may use at most: everything that its prompt is made of counts, at the price of who may answer it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.prices import load_prices
from experts.catalog.spec import Catalog, load_catalog
from protos import chat_pb2 as chat
from serve.costs.tariffs import tariffs
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.limits.bucket import Amount
from serve.limits.reservation import Reservations, tokens_at_most
from serve.request import ChatRequest

LONG = "The quick brown fox jumps over the lazy dog. " * 40  # 10 tokens each
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": LONG}}}
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": json.dumps({"city": LONG})}}
ASKED = {"role": "user", "content": "What time is it?"}


def expert(name: str, **fields: Any) -> dict[str, Any]:
    price = {"usd_per_million": {"prompt": 1.0, "completion": 2.0}}
    entry = {"description": "plays", "base": "some/where", "engine": "echo", "context_window": 4000, "licence": "MIT"}
    return {"name": name, **entry, "price": price, **fields}


def catalog_of(folder: Path, *experts: dict[str, Any]) -> Catalog:
    path = folder / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": experts[0]["name"], "experts": list(experts)}))
    return load_catalog(path)


def reservations(catalog: Catalog, *, is_hedging: bool = False) -> Reservations:
    return Reservations(catalog, tariffs(catalog, load_prices()), is_hedging=is_hedging)


def request(given: chat.Conversation | str, model: str = "auto", **sampling: Any) -> ChatRequest:
    return ChatRequest(
        id="a",
        request_id="a",
        door="http",
        model=model,
        input=given,
        sampling=chat.Sampling(**sampling),
        is_stream=False,
        received_at=100.0,
        deadline=160.0,
    )


def over_http(**fields: Any) -> ChatRequest:
    body = parse(ChatCompletionBody, json.dumps({"messages": [ASKED], **fields}).encode())
    return request(body.to_input())


@pytest.fixture
def plain(tmp_path: Path) -> Reservations:
    return reservations(catalog_of(tmp_path, expert("one")))


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [ASKED, {"role": "assistant", "content": LONG}, ASKED]},
        {"messages": [{"role": "system", "content": LONG}, ASKED]},
        {"documents": [{"text": LONG}]},
        {"documents": [{"text": "short", "title": LONG}]},
        {"tools": [TOOL]},
        {"tools": [{"type": "function", "function": {"name": "f", "description": LONG}}]},
        {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
        {"messages": [ASKED, {"role": "tool", "tool_call_id": "c1", "content": LONG}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    ],
)
def test_everything_in_a_prompt_counts(plain: Reservations, fields: dict[str, Any]) -> None:
    more = plain.at_most(over_http(**fields)).tokens - plain.at_most(over_http()).tokens
    assert 400 <= more <= 1000


def test_raw_text_counts(plain: Reservations) -> None:
    assert 400 <= plain.at_most(request(LONG)).tokens - plain.at_most(request("a")).tokens <= 900


@pytest.mark.parametrize(
    ("entry", "sampling", "answer"),
    [
        ({}, {}, 512),  # the expert's default
        ({}, {"max_tokens": 9}, 9),
        ({"sampling": {"max_tokens": 77}}, {}, 77),
        ({"max_tokens_cap": 50}, {}, 50),
        ({"max_tokens_cap": 50}, {"max_tokens": 900}, 50),
        ({}, {"max_tokens": 9000}, 3999),  # what the window holds
    ],
)
def test_the_longest_answer_counts(
    tmp_path: Path, entry: dict[str, Any], sampling: dict[str, int], answer: int
) -> None:
    told = reservations(catalog_of(tmp_path, expert("one", **entry))).at_most(request("hello", **sampling))
    prompt = tokens_at_most(b"hello")
    assert told == Amount(prompt + answer, prompt * 1_000_000 + answer * 2_000_000)


def test_the_dearest_who_may_answer_counts_and_nobody_else(tmp_path: Path) -> None:
    price = {"usd_per_million": {"prompt": 10.0, "completion": 20.0}}
    catalog = catalog_of(tmp_path, expert("cheap"), expert("dear", price=price, max_tokens_cap=100), expert("third"))
    told = reservations(catalog)
    prompt = tokens_at_most(b"hello")
    assert told.at_most(request("hello", "cheap")) == Amount(prompt + 512, prompt * 10**6 + 512 * 2 * 10**6)
    assert told.at_most(request("hello", "dear")) == Amount(prompt + 100, prompt * 10**7 + 100 * 2 * 10**7)
    free = told.at_most(request("hello"))
    assert free == Amount(prompt + 512, prompt * 10**7 + 100 * 2 * 10**7)


def test_an_experts_own_instructions_count_and_a_window_bounds_the_prompt(tmp_path: Path) -> None:
    told = reservations(catalog_of(tmp_path, expert("one", system_prompt=LONG)))
    bare = tokens_at_most(b"hello") + 512
    assert 400 <= told.at_most(request("hello")).tokens - bare <= 900
    assert told.at_most(request(LONG * 100)).tokens == 4000 + 512


def test_a_hedged_request_is_read_twice(tmp_path: Path) -> None:
    told = reservations(catalog_of(tmp_path, expert("one"), expert("two")), is_hedging=True)
    prompt = tokens_at_most(b"hello")
    assert told.at_most(request("hello")).tokens == 2 * prompt + 512
    assert told.at_most(request("hello", "one")).tokens == prompt + 512, "who is named is asked alone"


@pytest.mark.parametrize("is_hedging", [False, True])
@pytest.mark.parametrize(
    ("model", "choice", "readers"),
    [("auto", None, 1), ("auto", "auto", 1), ("auto", "required", 0), ("auto", "none", 0), ("one", None, 0)],
)
def test_a_request_that_may_be_handed_back_is_read_once_more(
    tmp_path: Path, is_hedging: bool, model: str, choice: str | None, readers: int
) -> None:
    fields = {"tools": [TOOL]} | ({} if choice is None else {"tool_choice": choice})
    asked = replace(over_http(**fields), model=model)
    catalog = catalog_of(tmp_path, expert("one"), expert("two"))
    plain = reservations(catalog, is_hedging=is_hedging).at_most(asked).tokens - 512
    alone = reservations(catalog).at_most(asked).tokens - 512
    catalog = catalog_of(tmp_path, expert("one", hands_back=True), expert("two"))
    told = reservations(catalog, is_hedging=is_hedging).at_most(asked).tokens - 512
    assert told - plain == readers * alone


def test_a_slot_by_the_second_is_reserved_until_the_deadline(tmp_path: Path) -> None:
    price = {
        "instance_usd_per_hour": 3.6,
        "prompt_tokens_per_s": 1000,
        "completion_tokens_per_s": 100,
        "basis": "occupancy",
    }
    told = reservations(catalog_of(tmp_path, expert("one", price=price, max_batch_size=10)))
    assert told.at_most(request("hello")).pico == pytest.approx(60 * 0.001 / 10 * 1e12)


@pytest.mark.parametrize(
    ("text", "tokens"),  # as SmolLM2's tokeniser counts
    [
        ("Write a Python function that returns the n-th Fibonacci number.", 14),
        ("def f(x: int) -> int:\n    return x * (x + 1) // 2\n", 24),
        ("Сколько планет в Солнечной системе?", 25),
        ("太阳系有多少颗行星？", 20),
        ('{"a": [1, 2, 3], "b": {"c": null}}', 20),
        ("3.14159265358979", 16),
    ],
)
def test_the_estimate_is_above_what_a_tokeniser_counts_and_not_far(text: str, tokens: int) -> None:
    assert tokens <= tokens_at_most(text.encode()) <= 3 * tokens


@given(st.text(max_size=300), st.text(max_size=300))
def test_more_text_is_never_fewer_tokens(one: str, two: str) -> None:
    raw, more = (text.encode("utf-8", "replace") for text in (one, one + two))
    assert tokens_at_most(raw) <= tokens_at_most(more) <= len(more)


@pytest.mark.parametrize(
    ("fields", "least"),
    [({}, 2), ({"max_tokens": 100}, 101), ({"max_tokens": 9000}, 4000)],
)
def test_what_a_request_asks_for_without_doubt(plain: Reservations, fields: dict[str, int], least: int) -> None:
    assert plain.at_least(request("hello", **fields)) == least
