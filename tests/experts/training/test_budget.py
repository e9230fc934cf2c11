"""What a bounded run takes: the given rows first, the recipe's samples in proportion, never more than the bound."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from experts.training.budget import Budget, tokens_of, within


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an encoded sample looks like; no tokeniser is needed to count."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    rejected: tuple[int, ...] = ()


def made(count: int, mark: int, length: int = 10) -> list[Tokens]:
    """Samples that can be told apart by their first token."""
    return [Tokens((mark + at, *[0] * (length - 6)), (0,) * 5) for at in range(count)]


ROWS, RECIPE = made(20, 100), made(50, 200)


def drawn(tokens: int, rehearsal: float = 0.25, epochs: float = 1.0, seed: int = 0) -> tuple[list[int], list[int]]:
    """The marks of the recipe's samples and of the rows that were taken."""
    chosen, of_rows = within(Budget(tokens, rehearsal), ROWS, RECIPE, epochs, seed)  # type: ignore[arg-type]
    marks = [one.prompt[0] for one in chosen]
    assert all(mark < 200 for mark in marks[len(marks) - of_rows :])
    assert all(mark >= 200 for mark in marks[: len(marks) - of_rows])
    return marks[: len(marks) - of_rows], marks[len(marks) - of_rows :]


@pytest.mark.parametrize(
    ("tokens", "rehearsal", "epochs", "recipe", "rows"),
    [
        (100, 0.25, 1.0, 2, 7),  # both parts in whole samples
        (400, 0.25, 1.0, 6, 20),  # all rows, and rehearsal for a third as much, not all that would fit
        (400, 0.25, 4.0, 2, 7),  # four epochs share the bound
        (100, 0.25, 0.5, 5, 15),  # half an epoch may be twice as long
        (100, 0.0, 1.0, 0, 10),
        (5, 0.25, 1.0, 0, 0),
    ],
)
def test_what_is_taken(tokens: int, rehearsal: float, epochs: float, recipe: int, rows: int) -> None:
    own, given = drawn(tokens, rehearsal, epochs)
    assert (len(own), len(given)) == (recipe, rows)
    assert own == sorted(own), "in the recipe's order"
    assert given == sorted(given)


def test_the_seed_draws() -> None:
    assert drawn(100) == drawn(100)
    assert drawn(100) != drawn(100, seed=1)


def test_without_rows_the_recipe_has_everything() -> None:
    chosen, of_rows = within(Budget(100, 0.25), [], RECIPE, 1.0, 0)  # type: ignore[arg-type]
    assert (len(chosen), of_rows) == (10, 0)


def test_a_pair_is_computed_twice_over_its_prompt() -> None:
    assert tokens_of(Tokens((1, 2, 3), (4, 5))) == 5  # type: ignore[arg-type]
    assert tokens_of(Tokens((1, 2, 3), (4, 5), (6,))) == 9  # type: ignore[arg-type]
