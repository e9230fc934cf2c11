"""Fractions between two bounds, as patterns of digits: exactly the numbers that lie between them.

A bound is read as the decimal that the client wrote. The digits of a number follow the digits of its bounds until they
differ; from there on any digit may follow. An exponent is a range of its own: between two powers of ten the mantissa is
free, at the ends it is bounded like a number. Each number between the bounds can be written as `json.dumps` does. Used
by `experts.json_schema.grammar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from experts.json_schema.integer_ranges import MAX_DIGITS, integer_patterns

_ANY: Final = f"[0-9]{{0,{MAX_DIGITS}}}"
_SOME: Final = f"[0-9]{{1,{MAX_DIGITS}}}"
_ZEROS: Final = f'"0"{{0,{MAX_DIGITS}}}'
_FRACTION: Final = f'("." {_SOME})?'
_MAX_EXPONENT: Final = 999
_TEN: Final = Decimal(10)


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a range from 0 upwards; `is_in` says whether the end itself belongs to it."""

    value: Decimal
    is_in: bool

    @property
    def whole(self) -> int:
        return int(self.value)

    @property
    def digits(self) -> str:
        """The digits behind the point, without zeros at their end."""
        return f"{self.value:f}".partition(".")[2].rstrip("0")


_ZERO: Final = _End(Decimal(0), is_in=True)


def number_patterns(schema: Mapping[str, Any]) -> list[str]:
    """Return EBNF alternatives for a number's bounds; the list is empty where the range is."""
    low = _tightest(schema, "minimum", "exclusiveMinimum", 1)
    high = _tightest(schema, "maximum", "exclusiveMaximum", -1)
    found: list[str] = []
    if high is None or high.value >= 0:
        found += _between(low if low is not None and low.value >= 0 else _ZERO, high)
    if low is None or low.value < 0:
        least = _End(-high.value, high.is_in) if high is not None and high.value <= 0 else _ZERO
        most = None if low is None else _End(-low.value, low.is_in)
        found += [f'"-" {pattern}' for pattern in _between(least, most)]
    return found


def _tightest(schema: Mapping[str, Any], bound: str, exclusive: str, sign: int) -> _End | None:
    named = [name for name in (bound, exclusive) if name in schema]
    ends = [_End(Decimal(repr(schema[name])), is_in=name == bound) for name in named]
    return max(ends, key=lambda end: (sign * end.value, not end.is_in), default=None)


def _between(low: _End, high: _End | None) -> Iterator[str]:
    """Yield patterns for 0 <= `low` <= n <= `high`."""
    if high is not None and (low.value, not low.is_in or not high.is_in) > (high.value, False):
        return
    yield from _plain(low, high)
    yield from _scientific(low, high)


def _plain(low: _End, high: _End | None) -> Iterator[str]:
    """Yield patterns without an exponent: the wholes at both ends with bounded fractions, those between with any."""
    if high is not None and high.whole == low.whole:
        yield from _with_fraction(low.whole, low, high)
        return
    yield from _with_fraction(low.whole, low, None)
    for pattern in integer_patterns(low.whole + 1, None if high is None else high.whole - 1):
        yield f"{pattern} {_FRACTION}"
    if high is not None:
        yield from _with_fraction(high.whole, None, high)


def _with_fraction(whole: int, low: _End | None, high: _End | None) -> Iterator[str]:
    """Yield patterns for a whole number and what may follow its point."""
    if len(str(whole)) > MAX_DIGITS:
        return
    above = None if low is None or (low.is_in and not low.digits) else low.digits
    below = None if high is None else high.digits
    options = list(_digits(above, below, low, high))
    if options:
        yield f'"{whole}" "." ({" | ".join(options)})'
    if _may_end(above, below, high):
        yield f'"{whole}"'


def _may_end(above: str | None, below: str | None, high: _End | None) -> bool:
    """Say whether a number may end here, as if zeros followed; `above` and `below` are what is left of its bounds."""
    return above is None and (below is None or bool(below) or (high is not None and high.is_in))


def _digits(above: str | None, below: str | None, low: _End | None, high: _End | None) -> Iterator[str]:
    """Yield patterns of one digit or more between two bounds.

    `above` and `below` are what is left of the bounds' digits; None where the number is within that bound already.
    `low` and `high` say whether the bounds themselves belong to the range.
    """
    above = _unless_reached(above, low)
    if below == "":
        if above is None and high is not None and high.is_in:
            yield f'"0" {_ZEROS}'
    elif below is None and not above:
        yield _SOME if above is None else f"{_ZEROS} [1-9] {_ANY}"
    else:
        yield from _digit_by_digit(above, below, low, high)


def _unless_reached(above: str | None, low: _End | None) -> str | None:
    """Return what is left of the lower bound; nothing where the number is as large as it, and may be."""
    return None if above == "" and low is not None and low.is_in else above


def _digit_by_digit(above: str | None, below: str | None, low: _End | None, high: _End | None) -> Iterator[str]:
    """Yield patterns for one more digit: one between those of the bounds, or one of theirs."""
    least = 0 if above is None else int(above[:1] or "0")
    most = 9 if below is None else int(below[0])
    first, last = least + (above is not None), most - (below is not None)
    if first <= last:
        yield f"[{first}-{last}] {_ANY}"
    if above is not None and below is not None and least == most:
        yield from _behind(least, above[1:], below[1:], low, high)
        return
    if above is not None:
        yield from _behind(least, above[1:], None, low, high)
    if below is not None and least <= most:
        yield from _behind(most, None, below[1:], low, high)


def _behind(digit: int, above: str | None, below: str | None, low: _End | None, high: _End | None) -> Iterator[str]:
    """Yield patterns for a digit that the bounds allow and what may follow it."""
    above = _unless_reached(above, low)
    options = list(_digits(above, below, low, high))
    if options:
        yield f'"{digit}" ({" | ".join(options)})'
    if _may_end(above, below, high):
        yield f'"{digit}"'


def _scientific(low: _End, high: _End | None) -> Iterator[str]:
    """Yield patterns with an exponent other than 0: bounded mantissas at the ends, any mantissa between them."""
    least = low.value.adjusted() if low.value else -_MAX_EXPONENT - 1
    most = high.value.adjusted() if high is not None and high.value else _MAX_EXPONENT + 1
    if high is not None and not high.value:
        return
    for from_, to in ((-_MAX_EXPONENT, -1), (1, _MAX_EXPONENT)):
        first, last = max(least + 1, from_), min(most - 1, to)
        if first <= last:
            yield f"[1-9] {_FRACTION} {_exponent(first, last)}"
    for at in {least, most}:
        if at and abs(at) <= _MAX_EXPONENT:
            bottom = _mantissa(low, at) if at == least else _End(Decimal(1), is_in=True)
            top = _mantissa(high, at) if high is not None and at == most else _End(_TEN, is_in=False)
            for pattern in _plain(bottom, top):
                if not pattern.startswith('"10"'):
                    yield f"{pattern} {_exponent(at, at)}"


def _mantissa(end: _End, exponent: int) -> _End:
    return _End(end.value.scaleb(-exponent), end.is_in)


def _exponent(first: int, last: int) -> str:
    """Write the exponents from `first` to `last`, which have one sign; `json.dumps` writes two digits at least."""
    low, high = sorted((abs(first), abs(last)))
    sign = '"-"' if last < 0 else "[+]?"
    return f'[eE] {sign} "0"? ({" | ".join(integer_patterns(low, high))})'
