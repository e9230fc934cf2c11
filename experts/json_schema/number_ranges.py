"""Fractions between two bounds, as patterns of digits: all of them can be written, and few others.

A pattern restricts the digits before the point. What follows the point, and an exponent, may leave the range a little;
the check of the whole answer finds that. Each number between the bounds can be written as `json.dumps` does. Used by
`experts.json_schema.grammar`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from experts.json_schema.integer_ranges import MAX_DIGITS, integer_patterns

_FRACTION: Final = f'("." [0-9]{{1,{MAX_DIGITS}}})?'
_ZEROS: Final = f'("." "0"{{1,{MAX_DIGITS}}})?'
_LARGE: Final = f"[1-9] {_FRACTION} [eE] [+]? [0-9]{{1,3}}"
_TINY: Final = f'[1-9] {_FRACTION} [eE] "-" [0-9]{{1,3}}'


def number_patterns(schema: Mapping[str, Any]) -> list[str]:
    """Return EBNF alternatives for a number's bounds."""
    low = max((schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema), default=-math.inf)
    high = min((schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema), default=math.inf)
    found = [*_sizes(max(low, 0), high)] if high >= 0 else []
    if low < 0:
        found += [f'"-" {pattern}' for pattern in _sizes(max(-high, 0), -low)]
    return found


def _sizes(least: float, most: float) -> Iterator[str]:
    """Yield patterns for 0 <= `least` <= n <= `most`."""
    low, high = math.floor(least), None if most == math.inf else math.floor(most)
    is_whole = high is not None and high == most
    for pattern in integer_patterns(low, high - 1 if high is not None and is_whole else high):
        yield f"{pattern} {_FRACTION}"
    if high is not None and is_whole:
        for pattern in integer_patterns(high, high):
            yield f"{pattern} {_ZEROS}"
    if least < 1:
        yield _TINY
    if most >= 10:  # below it, every number of one digit before the point is spelt without an exponent
        yield _LARGE
