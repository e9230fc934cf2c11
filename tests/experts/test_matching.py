"""Pairing: what greedy matching gets wrong, and that it agrees with trying every order."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from experts.evaluation.suites.matching import can_pair


def test_a_made_call_that_fits_two_is_left_for_the_one_that_needs_it() -> None:
    """Greedy gives "ab" to the first wanted, and then has nothing for the second."""
    assert can_pair(["ab", "a"], ["a", "b"], lambda want, made: made in want)
    assert can_pair(["abc", "ab", "a"], ["a", "b", "c"], lambda want, made: made in want)


def test_nothing_may_be_left_over() -> None:
    assert can_pair([], [], lambda want, made: False)
    assert not can_pair(["a"], ["a", "a"], lambda want, made: True)
    assert not can_pair(["a", "a"], ["a"], lambda want, made: True)
    assert not can_pair(["a", "a"], ["a", "b"], lambda want, made: want == made)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=4))
def test_it_agrees_with_trying_every_order(table: list[list[bool]]) -> None:
    indices = range(4)
    wanted = any(all(table[row][order[row]] for row in indices) for order in permutations(indices))
    assert can_pair(indices, indices, lambda want, made: table[want][made]) == wanted
