"""Multiples of a step between two bounds, as patterns of digits: what `multipleOf` and bounds allow together.

A number is so many blocks and a rest: prices in steps of 0.01 have blocks of 1 and a hundred rests behind the point,
steps of 25 have blocks of 100 and the rests 00, 25, 50, 75. Between its ends a range takes every rest; in the first and
the last block only those within the bounds. Steps that divide no small power of ten are left to the check of the whole
answer. Used by `experts.json_schema.grammar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from experts.json_schema.integer_ranges import MAX_DIGITS, integer_patterns

_MAX_RESTS: Final = 100  # of one block
_BLOCKS: Final = (1, 10, 100)
_ZEROS: Final = f'("." "0"{{1,{MAX_DIGITS}}})?'
_LARGE: Final = f'[1-9] ("." [0-9]{{1,{MAX_DIGITS}}})? [eE] [+]? ("1" [6-9] | [2-9] [0-9] | [1-3] [0-9]{{2}})'
"""From 1e16 on `json.dumps` writes an exponent, and every double is a whole number."""


def multiple_patterns(schema: Mapping[str, Any]) -> list[str] | None:
    """Return EBNF alternatives for a number with `multipleOf`; None where patterns cannot hold the step."""
    step = Fraction(str(schema["multipleOf"]))
    block = next((size for size in _BLOCKS if (size / step).denominator == 1 and size / step <= _MAX_RESTS), None)
    if block is None or (schema["type"] == "integer" and step.denominator != 1):
        return None
    is_whole = schema["type"] == "integer"
    low, high = _bound(schema, "minimum", "exclusiveMinimum", max), _bound(schema, "maximum", "exclusiveMaximum", min)
    writer = _Writer(schema, step, block, is_whole=is_whole)
    found = [] if high is not None and high < 0 else list(writer.between(max(low or Fraction(0), Fraction(0)), high, 1))
    if low is None or low < 0:
        least = Fraction(0) if high is None else max(-high, Fraction(0))
        found += [f'"-" {pattern}' for pattern in writer.between(least, None if low is None else -low, -1)]
    return found


def _bound(schema: Mapping[str, Any], bound: str, exclusive: str, tightest: Any) -> Fraction | None:  # noqa: ANN401
    found = [Fraction(str(schema[name])) for name in (bound, exclusive) if name in schema]
    return tightest(found) if found else None


class _Writer:
    """Patterns for one schema."""

    def __init__(self, schema: Mapping[str, Any], step: Fraction, block: int, *, is_whole: bool) -> None:
        self._schema = schema
        self._block = block
        self._tail = "" if is_whole or block == 1 else f" {_ZEROS}"
        self._is_whole = is_whole
        self._rests = [step * at for at in range(int(block / step))]
        self._places = max(len(_fraction(rest)) for rest in self._rests)

    def between(self, low: Fraction, high: Fraction | None, sign: int) -> Iterator[str]:
        """Yield patterns for the sizes from `low` to `high`; `sign` times a size is the number that is meant."""
        first, last = int(low // self._block), None if high is None else int(high // self._block)
        for at in sorted({first} if last is None else {first, last}):
            kept = [rest for rest in self._rests if self._is_in((at * self._block + rest) * sign)]
            yield from (self._spelt(at, rest) for rest in kept)
        rests = " | ".join(self._rest(rest) for rest in self._rests)
        for pattern in integer_patterns(first + 1, None if last is None else last - 1):
            yield f"{pattern} ({rests}){self._tail}"
        if last is None and not self._is_whole:
            yield _LARGE

    def _is_in(self, number: Fraction) -> bool:
        schema = self._schema
        return (
            ("minimum" not in schema or number >= Fraction(str(schema["minimum"])))
            and ("maximum" not in schema or number <= Fraction(str(schema["maximum"])))
            and ("exclusiveMinimum" not in schema or number > Fraction(str(schema["exclusiveMinimum"])))
            and ("exclusiveMaximum" not in schema or number < Fraction(str(schema["exclusiveMaximum"])))
        )

    def _spelt(self, blocks: int, rest: Fraction) -> str:
        if self._block > 1:
            return f'"{blocks * self._block + int(rest)}"{self._tail}'
        return f'"{blocks}" {self._rest(rest)}'

    def _rest(self, rest: Fraction) -> str:
        """Write what follows the blocks: the last digits of a whole number, or what stands behind its point."""
        if self._block > 1:
            return f'"{int(rest):0{len(str(self._block)) - 1}d}"'
        digits = _fraction(rest)
        zeros = self._places - len(digits)
        if not digits:
            return f'("." "0"{{1,{max(zeros, 1)}}})?' if not self._is_whole else '""'
        return f'".{digits}"' + (f' "0"{{0,{zeros}}}' if zeros else "")


def _fraction(number: Fraction) -> str:
    """The digits behind the point, without zeros at their end."""
    return f"{float(number):.10f}".partition(".")[2].rstrip("0")
