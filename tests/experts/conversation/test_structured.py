"""The verdict on a whole answer: does its text have the form that was asked for?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.structured import FormReader, follows
from experts.engine import FinishReason
from protos import chat_pb2
from tests.experts.schemas import VALUES

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OK, AGAIN = chat_pb2.FORM_OUTCOME_OK, chat_pb2.FORM_OUTCOME_SECOND_ATTEMPT
INVALID, CUT = chat_pb2.FORM_OUTCOME_INVALID, chat_pb2.FORM_OUTCOME_CUT
STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH
GOOD = '{"city": "Oslo"}'


@given(VALUES)
def test_any_json_follows_the_schema_of_anything(value: object) -> None:
    assert follows(json.dumps(value), {})
    assert follows(f" {json.dumps(value, ensure_ascii=False, indent=1)}\n", {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Oslo",
        '{"city": "Oslo"',
        f"```json\n{GOOD}\n```",
        f"{GOOD} {GOOD}",
        "{'city': 'Oslo'}",
        '{"city": "Oslo",}',
        '{"city": 7}',
        '{"City": "Oslo"}',
        '["Oslo"]',
        '{"city": "Oslo", "city": "Oslo"}',
        '{"city": "Oslo", "more": {"a": 1, "a": 2}}',
        '{"city": "Oslo", "more": NaN}',
        '{"city": "Oslo", "more": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_what_does_not_follow_is_told_from_what_does(text: str) -> None:
    assert follows(GOOD, CITY)
    assert not follows(text, CITY)


@pytest.mark.parametrize(
    ("text", "finish", "attempts", "outcome"),
    [
        (GOOD, STOP, 1, OK),
        (GOOD, STOP, 2, AGAIN),
        (GOOD, LENGTH, 1, OK),  # complete all the same
        (GOOD[:-1], LENGTH, 1, CUT),
        (GOOD[:-1], LENGTH, 2, INVALID),  # the first attempt was not cut
        (GOOD[:-1], STOP, 1, INVALID),
        ('{"city": 7}', STOP, 2, INVALID),
        ("", STOP, 1, INVALID),
    ],
)
def test_the_verdict(text: str, finish: FinishReason, attempts: int, outcome: Any) -> None:
    reader = FormReader(CITY)
    reader.push(text)
    assert reader.close(finish, attempts) == outcome


@given(st.lists(st.integers(0, len(GOOD)), max_size=5).map(sorted))
def test_the_pieces_an_answer_comes_in_do_not_matter(cuts: list[int]) -> None:
    reader = FormReader(CITY)
    for start, end in zip([0, *cuts], [*cuts, len(GOOD)], strict=True):
        reader.push(GOOD[start:end])
    assert reader.close(STOP) == OK
