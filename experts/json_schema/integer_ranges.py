"""Whole numbers between two bounds, as patterns of digits: exact, and never longer than a few lines.

A range is cut where the number of digits changes, and each piece where a digit may be anything: 7 to 123 is `[7-9]`,
`[1-9] [0-9]`, `"1" [01] [0-9]`, `"12" [0-3]`. XGrammar's own range grammars accept wrong numbers and refuse right ones
(its issues 640, 642, 661, 662), so `experts.json_schema.grammar` writes these instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

MAX_DIGITS = 40
"""Digits that a number may have before its point, and after it: a model that cannot stop must not fill its answer."""


def whole_bounds(schema: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the least and the greatest whole number between a number's bounds; None is no bound."""
    lows = [math.ceil(schema["minimum"])] if "minimum" in schema else []
    highs = [math.floor(schema["maximum"])] if "maximum" in schema else []
    lows += [math.floor(schema["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in schema else []
    highs += [math.ceil(schema["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in schema else []
    return max(lows, default=None), min(highs, default=None)


def integer_patterns(low: int | None, high: int | None) -> list[str]:
    """Return EBNF alternatives that together are the whole numbers from `low` to `high`; None is no bound.

    A bound with more than `MAX_DIGITS` digits counts as none. The list is empty where the range is.
    """
    most: int = 10**MAX_DIGITS - 1
    low, high = max(low if low is not None else -most, -most), min(high if high is not None else most, most)
    found: list[str] = []
    if high >= 0:
        found += _between(max(low, 0), high)
    if low < 0:
        found += [f'"-" {pattern}' for pattern in _between(max(-high, 1), -low)]
    return found if low <= high else []


def _between(low: int, high: int) -> Iterator[str]:
    """Yield patterns for 0 <= `low` <= n <= `high`; ranges of full digit counts share one pattern."""
    full_from = 0  # the digit count from which all numbers up to a power of ten belong to the range
    for digits in range(len(str(low)), len(str(high)) + 1):
        first, last = (10 ** (digits - 1) if digits > 1 else 0), 10**digits - 1
        if low <= first and last <= high and digits > 1:
            full_from = full_from or digits
            continue
        if full_from:
            yield _any_of_digits(full_from, digits - 1)
            full_from = 0
        yield from _same_length(str(max(low, first)), str(min(high, last)))
    if full_from:
        yield _any_of_digits(full_from, len(str(high)))


def _any_of_digits(fewest: int, most: int) -> str:
    return f"[1-9] [0-9]{{{fewest - 1},{most - 1}}}" if fewest < most else f"[1-9] {_free(fewest - 1)}"


def _same_length(low: str, high: str) -> Iterator[str]:
    """Yield patterns for the numbers between two that have as many digits as each other."""
    if low == high:
        yield f'"{low}"'
        return
    if low[0] == high[0]:
        for rest in _same_length(low[1:], high[1:]):
            yield f'"{low[0]}" {rest}'
        return
    first, last, others = int(low[0]), int(high[0]), len(low) - 1
    if low[1:].strip("0"):
        for pattern in _same_length(low[1:], "9" * others):
            yield f'"{first}" {pattern}'
        first += 1
    tail: list[str] = []
    if high[1:].strip("9"):
        tail = [f'"{last}" {pattern}' for pattern in _same_length("0" * others, high[1:])]
        last -= 1
    if first <= last:
        yield f"[{first}-{last}] {_free(others)}".rstrip()
    yield from tail


def _free(digits: int) -> str:
    """Any digits, so many."""
    return f"[0-9]{{{digits}}}" if digits else ""
