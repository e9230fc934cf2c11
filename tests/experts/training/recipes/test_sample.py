"""Rows become samples whole, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from experts.training.recipes.sample import BadSample, one_shape, read_seed
from experts.training.recipes.seed_files import read_seeds
from protos import chat_pb2
from tests.experts.training.recipes.rows import said


def test_seeds_keep_calls_results_and_documents() -> None:
    roles = {message.role for sample in read_seeds("tool-caller") for message in sample.conversation.messages}
    assert chat_pb2.ROLE_TOOL in roles
    assert any(len(sample.conversation.documents) > 1 for sample in read_seeds("researcher"))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": [], "answer": "x"},
        {"messages": said("x"), "answer": " "},
        {"messages": [{"role": "robot", "content": "x"}], "answer": "x"},
        {"messages": said("x"), "calls": [{"name": "f"}]},
    ],
)
def test_a_row_of_another_shape_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(BadSample):
        read_seed(row)


@pytest.mark.parametrize("row", [{}, {"a": None}, {"a": []}, {"a": 7}, {"a": ["secret"]}, {"a": "secret"}])
def test_a_row_of_another_shape_names_its_source_and_not_its_text(row: dict[str, Any]) -> None:
    with pytest.raises(BadSample, match="the source: a row has another shape") as caught, one_shape("the source"):
        int(row["a"][0].strip())
    assert "secret" not in str(caught.value)


def test_whose_shape_is_known_already_is_not_named_twice() -> None:
    with pytest.raises(BadSample, match=r"^inner: "), one_shape("outer"), one_shape("inner"):
        {}["a"]
