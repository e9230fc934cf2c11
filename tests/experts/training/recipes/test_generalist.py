"""The generalist's samples: every step is right, and GSM8K's notes for a calculator are gone."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.training.recipes import generalist
from experts.training.recipes.generalist import added, divided, multiplied, taken, worked
from experts.training.recipes.sample import BadSample
from tests.experts.training.recipes.data_files import place, write
from tests.experts.training.recipes.rows import asked

_EQUATION = re.compile(r"(\d+(?: [-+x/] \d+)+) = (\d+)")
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "x": lambda one, other: one * other,
    "/": lambda one, other: one // other,
}


def work_out(sum_: str) -> int:
    """Work out "1 + 2 + 3": no answer mixes operators."""
    first, *rest = sum_.split()
    total = int(first)
    for operator, number in zip(rest[::2], rest[1::2], strict=True):
        total = _OPERATORS[operator](total, int(number))
    return total


def assert_every_step_is_right(text: str) -> None:
    found = _EQUATION.findall(text)
    assert found
    for sum_, result in found:
        assert work_out(sum_) == int(result), (sum_, result)


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_sums_go_by_their_places(first: int, second: int) -> None:
    assert_every_step_is_right(added(first, second))
    assert added(first, second).endswith(f"{first} + {second} = {first + second}.")


@given(st.integers(1, 9999), st.data())
def test_differences_go_by_what_is_left(first: int, data: st.DataObject) -> None:
    second = data.draw(st.integers(1, first))
    assert_every_step_is_right(taken(first, second))
    assert taken(first, second).endswith(f"{first} - {second} = {first - second}.")


@given(st.integers(1, 99), st.integers(2, 12))
def test_products_are_tens_and_ones_together(first: int, second: int) -> None:
    assert_every_step_is_right(multiplied(first, second))
    assert multiplied(first, second).endswith(f"{first} x {second} = {first * second}.")


@given(st.integers(2, 99), st.integers(2, 12))
def test_quotients_rest_on_their_product(whole: int, second: int) -> None:
    assert_every_step_is_right(divided(whole * second, second))
    assert divided(whole * second, second).endswith(f"/ {second} = {whole}.")


def test_steps_are_shown_where_there_is_more_than_one_place() -> None:
    assert added(17, 25) == "17 + 20 = 37, 37 + 5 = 42, so 17 + 25 = 42."
    assert added(3, 4) == "3 + 4 = 7."
    assert taken(90, 47) == "90 - 40 = 50, 50 - 7 = 43, so 90 - 47 = 43."
    assert multiplied(23, 4) == "20 x 4 = 80, 3 x 4 = 12. 80 + 12 = 92, so 23 x 4 = 92."


@pytest.mark.parametrize("seed", range(3))
def test_what_is_made_is_right_and_answers_what_was_asked(seed: int) -> None:
    made = generalist.samples(None, seed)
    assert len(made) > 1000
    for sample in made:
        assert_every_step_is_right(sample.answer)
        numbers = set(re.findall(r"\d+", asked(sample)))
        assert numbers <= set(re.findall(r"\d+", sample.answer)), (asked(sample), sample.answer)
        assert asked(sample).strip()


def test_sums_are_asked_in_every_sign_and_many_ways() -> None:
    texts = [asked(sample) for sample in generalist.samples(None, 0)]
    assert all(any(sign in text for text in texts) for sign in ("+", "-", "*", "/", "plus", "minus", "times"))
    assert len({re.sub(r"\d+", "", text) for text in texts}) > 30


def test_problems_and_plain_answers_join_what_is_made(data: Path) -> None:
    texts = {asked(sample): sample.answer for sample in generalist.samples(data, 0)}
    assert texts["Tom has 3 boxes of 4 nails. How many nails has he?"] == "He has 3*4 = 12 nails.\nThe answer is 12."
    assert "Why is clay pot 1 red?" in texts
    assert "Why is this answer so long?" not in texts
    assert len(generalist.samples(data, 0)) > len(generalist.samples(None, 0))


@given(st.text(alphabet="ab 1=*\n", max_size=20), st.integers(0, 999))
def test_notes_for_a_calculator_are_never_said(text: str, result: int) -> None:
    said = worked(f"{text}<<1+1=2>>{text}\n#### {result}")
    assert said == f"{text}{text}\nThe answer is {result}."


def test_a_row_of_another_shape_names_its_file(tmp_path: Path) -> None:
    write(place(tmp_path, "generalist/gsm8k_train"), [{"question": "secret"}])
    with pytest.raises(BadSample, match=r"gsm8k_train.*'answer' is missing"):
        generalist.samples(tmp_path, 0)


def test_the_draw_is_the_seeds_alone() -> None:
    random.seed(1)
    first = generalist.samples(None, 7)
    random.seed(2)
    assert generalist.samples(None, 7) == first
