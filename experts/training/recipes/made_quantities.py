"""Numbers, amounts, dates and times as people say them: kinds of values that `made_values` draws from.

Each takes what the function's file says about the value, which none of these needs, and the source of chance.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from experts.training.recipes.said_value import INTEGER, NUMBER, Value, enumerated

_NUMERALS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_VAGUE_DAYS: Final = ("tomorrow", "next Monday", "this Saturday", "today", "the day after tomorrow", "Christmas Eve")


def _number(of: Any, rng: random.Random) -> Value:
    """A whole number, or one with digits behind the point."""
    whole = rng.random() < 0.65
    value = rng.choice((rng.randint(2, 20), rng.randint(21, 999), 50 * rng.randint(20, 200)))
    if not whole:
        tenths = round(value + rng.randint(1, 99) / rng.choice((10, 100)), 2)
        return Value(f"{tenths:g}" if tenths < 1000 else f"{tenths}", tenths, NUMBER)
    said = f"{value:,}" if value > 999 and rng.random() < 0.5 else str(value)
    return Value(said, value, INTEGER if rng.random() < 0.3 else NUMBER)


def _amount(of: Any, rng: random.Random) -> Value:
    if rng.random() < 0.2:
        millions = rng.choice((1.5, 2, 3, 4.2, 12, 50))
        return Value(
            rng.choice((f"${millions:g} million", f"{millions:g} million dollars")), int(millions * 1e6), NUMBER
        )
    value = rng.choice((rng.randint(5, 95), 25 * rng.randint(4, 80), 500 * rng.randint(10, 600)))
    said = rng.choice((f"${value:,}", f"{value} dollars", f"{value:,} USD", f"${value}", f"{value} euros"))
    return Value(said, value, INTEGER if rng.random() < 0.3 else NUMBER)


def _percent(of: Any, rng: random.Random) -> Value:
    value = rng.choice((1.5, 2, 2.25, 3, 3.5, 4, 4.75, 5, 6, 7.5, 8, 12))
    said = rng.choice((f"{value:g}%", f"{value:g} %", f"{value:g} percent", f"{value:g} per cent"))
    if rng.random() < 0.3:
        return Value(said, round(value / 100, 6), NUMBER, rng.choice(("as a decimal fraction", "such as 0.05 for 5%")))
    return Value(said, value, NUMBER, rng.choice(("", "in percent")))


def _count(of: Any, rng: random.Random) -> Value:
    value = rng.randint(2, 12) if rng.random() < 0.75 else rng.randint(13, 60)
    return Value(_NUMERALS[value] if value <= 12 and rng.random() < 0.4 else str(value), value, INTEGER)


def _small(of: Any, rng: random.Random) -> Value:
    value = rng.randint(2, 5)
    return Value(rng.choice((str(value), _NUMERALS[value])), value, INTEGER)


def _date(of: Any, rng: random.Random) -> Value:
    """A day, mostly as the parameter's description wants it."""
    if rng.random() < 0.15:
        vague = rng.choice(_VAGUE_DAYS)
        return Value(vague, vague)
    day = datetime.date(2023, 1, 1) + datetime.timedelta(days=rng.randint(0, 1500))
    month, ending = (
        _MONTHS[day.month - 1],
        {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day // 10 != 1 else 0, "th"),
    )
    said = rng.choice(
        (
            f"{month} {day.day}, {day.year}",
            f"{day.day} {month} {day.year}",
            f"{month} {day.day}{ending}, {day.year}",
            f"the {day.day}{ending} of {month} {day.year}",
            day.isoformat(),
            f"{day.year}/{day.month:02}/{day.day:02}",
        )
    )
    form, note = rng.choice(
        (
            (day.isoformat(), "as YYYY-MM-DD"),
            (day.isoformat(), "in the format YYYY-MM-DD"),
            (day.isoformat(), "such as 2021-03-09"),
            (f"{day.day:02}/{day.month:02}/{day.year}", "as DD/MM/YYYY"),
            (f"{day.month:02}-{day.day:02}-{day.year}", "in MM-DD-YYYY"),
            (said, ""),
        )
    )
    return Value(said, form, note=note)


def _time(of: Any, rng: random.Random) -> Value:
    """A time of day; likewise."""
    hour, minute = rng.randint(6, 22), rng.choice((0, 0, 15, 30, 45))
    half, twelve = ("am" if hour < 12 else "pm"), (hour - 1) % 12 + 1
    said = f"{twelve}{half}" if minute == 0 else f"{twelve}:{minute:02} {half}"
    said = rng.choice((said, f"{hour}:{minute:02}"))
    if rng.random() < 0.65:
        return Value(
            said, f"{hour:02}:{minute:02}", note=rng.choice(("as HH:MM, 24 hours", "in 24-hour format, HH:MM"))
        )
    return Value(said, said)


def _minutes(of: Any, rng: random.Random) -> Value:
    if rng.random() < 0.4:
        said, value = rng.choice(
            (("an hour", 60), ("half an hour", 30), ("two hours", 120), ("an hour and a half", 90))
        )
        return Value(said, value, INTEGER)
    value = rng.choice((5, 10, 12, 15, 20, 25, 30, 40, 45, 50, 75, 90))
    return Value(rng.choice((f"{value} minutes", f"{value} min")), value, INTEGER)


def _numbers(of: Any, rng: random.Random) -> Value:
    items = [rng.choice((rng.randint(1, 99), round(rng.uniform(0, 20), 1))) for _ in range(rng.randint(3, 6))]
    said = (
        enumerated([f"{item:g}" for item in items]) if rng.random() < 0.5 else f"[{', '.join(f'{i:g}' for i in items)}]"
    )
    return Value(said, items, {"type": "array", "items": NUMBER})


def _point(of: Any, rng: random.Random) -> Value:
    x, y = rng.randint(-9, 20), rng.randint(-9, 20)
    if rng.random() < 0.5:
        return Value(f"({x}, {y})", [x, y], {"type": "array", "items": INTEGER}, "as [x, y]")
    axes = {"type": "object", "properties": {"x": INTEGER, "y": INTEGER}, "required": ["x", "y"]}
    return Value(f"({x}, {y})", {"x": x, "y": y}, axes)


def _range(of: Any, rng: random.Random) -> Value:
    low, high = rng.randint(5, 40), rng.randint(50, 300)
    fields = {"type": "object", "properties": {"min": NUMBER, "max": NUMBER}}
    return Value(f"${low} and ${high}", {"min": low, "max": high}, fields)


def _plain(low: int, high: int, ending: str = "") -> Callable[[Any, random.Random], Value]:
    """Make the kind of a whole number between two bounds."""

    def make(of: Any, rng: random.Random) -> Value:
        value = rng.randint(low, high)
        return Value(f"{value}{ending}", value, INTEGER)

    return make


QUANTITIES: Final[Mapping[str, Callable[[Any, random.Random], Value]]] = MappingProxyType(
    {
        "number": _number, "amount": _amount, "percent": _percent, "count": _count, "small": _small,
        "date": _date, "time": _time, "minutes": _minutes, "numbers": _numbers, "point": _point, "range": _range,
        "degrees": _plain(15, 25), "sides": _plain(4, 20), "year": _plain(1950, 2024),
        "small_percent": _plain(5, 100, "%"),
    }
)  # fmt: skip
"""The kinds by name."""
