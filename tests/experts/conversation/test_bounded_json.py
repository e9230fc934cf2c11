"""JSON within bounds: measured exactly, in one scan, whatever the text; and the field at fault has its name."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.bounded_json import OutOfBounds, check_bounds, crossing, field_at_fault, read_bounded
from experts.conversation.request_limits import BODY, TEXT, Bounds

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", '[{"', "]}", ",,", "\\u005b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


def parts(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = list(value.values() if isinstance(value, dict) else value)
        return 1 + max(0, len(inner) - 1) + sum(map(parts, inner))
    return 0


@given(values, st.booleans(), st.integers(0, 6), st.integers(0, 12))
def test_depth_and_parts_are_exact(value: Any, is_ascii: bool, most_levels: int, most_parts: int) -> None:
    raw = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    crossed = crossing(raw, Bounds(most_levels, most_parts))
    assert (crossed is None) == (depth(value) <= most_levels and parts(value) <= most_parts)


@given(st.binary(max_size=300) | st.text(alphabet='[]{},:"\\a', max_size=300).map(str.encode))
def test_any_bytes_are_measured_and_named_without_a_failure(raw: bytes) -> None:
    crossing(raw, Bounds(3, 5))
    assert len(field_at_fault(raw, Bounds(3, 5))) < 500


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":', '[1,2,{"c":[', "{"])
@pytest.mark.parametrize("levels", [251, 1_000, 10_000, 50_000])
def test_what_readers_cannot_take_is_refused_before_they_try(opening: str, levels: int) -> None:
    with pytest.raises(OutOfBounds):
        read_bounded(opening * levels)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_is_within_bounds_is_read_and_can_be_written(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    text = opening * 250 + ("" if opening == "[" else "1") + closing * 250
    assert orjson.loads(orjson.dumps(read_bounded(text))) == json.loads(json.dumps(read_bounded(text)))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"code": "[" * 5_000}),
        json.dumps({"code": '\\"' * 400 + "{" * 400}),
        json.dumps(["{" for _ in range(400)]),
        json.dumps({"a": "x," * 100_000}),
        json.dumps([[] for _ in range(5_000)]),
        json.dumps({"[" * 300: 1}),
    ],
)
def test_brackets_in_words_and_side_by_side_are_no_depth(text: str) -> None:
    assert read_bounded(text) == json.loads(text)


def test_many_parts_and_long_texts_are_refused() -> None:
    with pytest.raises(OutOfBounds, match="has more than 50000 parts"):
        check_bounds("[" + "1," * 60_000 + "1]")
    with pytest.raises(OutOfBounds, match="has more than 50000 parts"):
        check_bounds("[" + "[]," * 30_000 + "1]")
    with pytest.raises(OutOfBounds, match="is longer than 1048576 bytes"):
        check_bounds('"' + "é" * 2**19 + '"')


@pytest.mark.parametrize(
    "raw", [b'"' + b'\\"' * 10**6, b'"' * 10**6, b"]" * 10**6 + b"[" * 300, b"\\" * 10**6, b'{"' * 10**5]
)
def test_hostile_texts_are_measured_in_one_pass(raw: bytes) -> None:
    crossing(raw, TEXT)  # it would take hours if the scan went back


deep = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": DEEP}]}', "messages[1].content"),
        (
            '{"messages": [{}, {"tool_calls": [{"id": "a"}, {"function": {"name": "f", "arguments": DEEP}}]}]}',
            "messages[1].tool_calls[1].function.arguments",
        ),
        ('{"tools": [{"function": {"name": "f", "parameters": {"p": DEEP}}}]}', "tools[0].function.parameters"),
        (
            '{"response_format": {"json_schema": {"schema": {"properties": DEEP}}}}',
            "response_format",
        ),
        ('{"documents": ["a", {"text": DEEP}]}', "documents[1].text"),
        ('{"metadata": DEEP}', "metadata"),
        ('{"stop": DEEP}', "stop"),
        ('{"a": {"messages": 1}, "metadata": {"x": [1, 2, {"y": DEEP}]}}', "metadata"),
        ('{"prompt": [[1, 2], DEEP]}', "prompt"),
        ('{"not a name, <b>": DEEP}', ""),
        ("DEEP", ""),
    ],
)
def test_the_field_at_fault_is_named_as_the_client_wrote_it(body: str, field: str) -> None:
    raw = body.replace("DEEP", deep).encode()
    assert crossing(raw, BODY) == "is nested more than 256 levels deep"
    assert field_at_fault(raw, BODY) == field


def test_a_field_with_too_many_parts_is_named() -> None:
    raw = b'{"messages": [{"role": "user", "content": "x"}], "metadata": [' + b"{}," * 60_000 + b"1]}"
    assert crossing(raw, BODY) == "has more than 100000 parts"
    assert field_at_fault(raw, BODY) == "metadata"
