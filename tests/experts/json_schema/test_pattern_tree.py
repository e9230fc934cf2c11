"""Sets of characters as ranges: in order, apart, and with their complement all there is."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.pattern_tree import BLANK, DIGIT, MAX_CODE, WORD, joined_ranges, ranges_of, without

CODES = st.integers(0, 60) | st.integers(MAX_CODE - 60, MAX_CODE)
RANGES = st.lists(st.tuples(CODES, CODES).map(lambda pair: (min(pair), max(pair))), max_size=6)


def members(ranges: object) -> set[int]:
    assert isinstance(ranges, tuple | list)
    edge = [*range(62), *range(MAX_CODE - 62, MAX_CODE + 1)]
    return {code for code in edge if any(low <= code <= high for low, high in ranges)}


@given(RANGES)
def test_joined_ranges_hold_the_same_and_lie_apart(ranges: list[tuple[int, int]]) -> None:
    joined = joined_ranges(ranges)
    assert members(joined) == members(ranges)
    assert all(first[1] + 1 < second[0] for first, second in itertools.pairwise(joined))


@given(RANGES)
def test_without_is_the_rest_and_twice_the_same(ranges: list[tuple[int, int]]) -> None:
    joined = joined_ranges(ranges)
    rest = without(joined)
    assert not members(joined) & members(rest)
    assert joined_ranges([*joined, *rest]) == ((0, MAX_CODE),)
    assert without(rest) == joined


def test_the_named_sets() -> None:
    assert ranges_of("09", "a") == ((48, 57), (97, 97))
    assert DIGIT == ((48, 57),)
    assert [chr(low) + chr(high) for low, high in WORD] == ["09", "AZ", "__", "az"]
    assert all(any(low <= ord(blank) <= high for low, high in BLANK) for blank in " \t\n\r\u00a0\u2028")
