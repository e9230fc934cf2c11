"""An index holds each field's BM25 weights, and is made of any schema that the gateway lets in."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.tools.index import FIELDS, KINDS, NAME, VALUES, ToolIndex, ToolText, build_index, product, weighted
from router.tools.likeness import LIKENESS, likeness
from router.tools.question import read_question
from router.tools.terms import stem


def weight(index: ToolIndex, term: str, field: int, tool: int) -> float:
    row = index.terms[term]
    held = slice(index.starts[row], index.starts[row + 1])
    found = dict(zip(index.columns[held].tolist(), index.weights[held].tolist(), strict=True))
    return found.get(field * index.size + tool, 0.0)


def test_a_name_weighs_its_words_by_their_rarity(index: ToolIndex) -> None:
    rare = math.log1p((6 - 1 + 0.5) / 1.5)
    assert weight(index, stem("weather"), NAME, 0) == pytest.approx(rare)
    assert weight(index, stem("weather"), NAME, 1) == 0
    assert index.name_total[3] == pytest.approx(2 * rare, rel=1e-4)


def test_listed_values_are_terms_of_their_own_field(index: ToolIndex) -> None:
    row = index.terms[stem("garage")]
    fields = {int(column) // index.size for column in index.columns[index.starts[row] : index.starts[row + 1]]}
    assert VALUES in fields


def test_required_kinds_are_told(index: ToolIndex) -> None:
    kinds = {KINDS[at]: tool for tool, at in zip(*np.nonzero(index.needs), strict=True)}
    assert kinds == {"date": 1, "address": 2, "number": 3}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "properties", "required", "enum", "items", "description", "x"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(max_size=40), st.dictionaries(st.text(max_size=9), ANYTHING)),
        min_size=1,
        max_size=6,
    ),
    st.text(max_size=60),
    st.text(max_size=20),
)
def test_any_tools_and_any_words(raw: list[tuple[str, str, dict[str, Any]]], newest: str, before: str) -> None:
    index = build_index([ToolText(*one) for one in raw])
    found = likeness(read_question(newest, before), index)
    assert found.shape == (len(raw), len(LIKENESS))
    assert np.isfinite(found).all()


def test_the_same_tools_make_the_same_index(tools: list[ToolText]) -> None:
    one, other = build_index(tools), build_index(tools)
    assert one.terms == other.terms
    assert np.array_equal(one.weights, other.weights)
    assert len(FIELDS) * len(tools) > one.columns.max()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 24), (2_000, 24), (7, 3_000)])
def test_products_in_pieces_are_the_whole_product(rows: int, columns: int) -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(rows, 96)).astype("f4"), draw.normal(size=(96, columns)).astype("f4")
    assert np.allclose(product(one, other), one @ other, atol=1e-3)
    assert np.allclose(weighted(one, other[:, 0]), one @ other[:, 0], atol=1e-3)
