"""Values as people say them, and as a call has them: what made requests are filled with.

A value is copied as it was said wherever its schema allows. Where the parameter's description asks for a form ("as
YYYY-MM-DD"), the call has that form. All words here were written for moegate.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

_WORDS: Final = Path(__file__).parent / "seeds" / "words.yaml"
_STRING: Final[dict[str, Any]] = {"type": "string"}
_INTEGER: Final[dict[str, Any]] = {"type": "integer"}
_NUMBER: Final[dict[str, Any]] = {"type": "number"}


@dataclass(frozen=True, slots=True)
class Value:
    """What is said, what the call has, the value's schema, and what the parameter's description adds about its form."""

    said: str
    value: Any  # JSON
    schema: Mapping[str, Any] = field(default_factory=lambda: _STRING)
    note: str = ""


@cache
def words() -> Mapping[str, Sequence[str]]:
    """Read the words that stand for themselves, by kind."""
    found: dict[str, list[str]] = yaml.safe_load(_WORDS.read_text("utf-8"))
    return found


_FIRST: Final = ("Anna", "Ben", "Chiara", "David", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena")
_LAST: Final = ("Meyer", "Okafor", "Tanaka", "Silva", "Novak", "Brown", "Haddad", "Lindqvist", "Rossi", "Kim")
_CITIES: Final = (
    "Oslo", "Nairobi", "Lisbon", "San Antonio", "Kyoto", "Buenos Aires", "Leeds", "Cape Town", "Krakow", "New Delhi",
    "Montreal", "St. Gallen", "Hanoi", "Santa Cruz", "Reykjavik", "Tampere", "Lyon", "Adelaide", "Port Louis",
)  # fmt: skip
_STATES: Final = (
    ("Austin", "TX", "Texas"), ("Denver", "CO", "Colorado"), ("Portland", "OR", "Oregon"), ("Dallas", "TX", "Texas"),
    ("Miami", "FL", "Florida"), ("Phoenix", "AZ", "Arizona"), ("Chicago", "IL", "Illinois"), ("Boise", "ID", "Idaho"),
)  # fmt: skip
_CURRENCIES: Final = (
    ("euros", "EUR"), ("dollars", "USD"), ("pounds", "GBP"), ("yen", "JPY"), ("Swiss francs", "CHF"),
    ("Polish zloty", "PLN"), ("Indian rupees", "INR"), ("Canadian dollars", "CAD"), ("Norwegian kroner", "NOK"),
)  # fmt: skip
_LANGUAGES: Final = (
    ("French", "fr"), ("German", "de"), ("Spanish", "es"), ("Polish", "pl"), ("Japanese", "ja"), ("Italian", "it"),
    ("Turkish", "tr"), ("Dutch", "nl"), ("Portuguese", "pt"), ("Korean", "ko"),
)  # fmt: skip
_TEXTS: Final = (
    "I'm running ten minutes late", "see you on Friday", "the printer is out of paper", "thank you for your help",
    "login page shows an error", "Happy birthday!", "guten Morgen", "where is the station", "Quarterly report",
    "the gate code is 4471", "meeting moved to room B", "¿dónde está la biblioteca?", "Lunch tomorrow?",
)  # fmt: skip
_NUMERALS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_VAGUE_DAYS: Final = ("tomorrow", "next Monday", "this Saturday", "today", "the day after tomorrow", "Christmas Eve")
_COMPARISONS: Final = (
    (">", ("over", "above", "greater than")),
    ("<", ("under", "below", "less than")),
    ("=", ("of exactly", "equal to")),
)
_TRIES: Final = 60  # of which one has the wanted form, but for one in thousands
_MOMENTS: Final = (
    "tomorrow at noon",
    "in two hours",
    "on Friday at 6 pm",
    "tonight",
    "every Sunday morning",
    "at 9:15",
)


def draw(kind: str, of: Any, rng: random.Random) -> Value:  # JSON of the functions' file
    """Draw a value of a kind; `of` is what the function's file says about it.

    Raises:
        KeyError: there is no such kind.
    """
    if kind in words():
        word = rng.choice(words()[kind])
        value = word.removeprefix("a ").removeprefix("the ") if kind in {"history", "product", "sport"} else word
        return Value(word, value)
    return _KINDS[kind](of, rng)


def draw_alike(kind: str, of: Any, like: Value, rng: random.Random) -> Value:  # JSON of the functions' file
    """Draw a value of the same form as another: with its schema, and its note on the form."""
    drawn = (draw(kind, of, rng) for _ in range(_TRIES))
    return next((one for one in drawn if one.schema == like.schema and one.note == like.note), like)


def _place(of: Any, rng: random.Random) -> Value:
    if rng.random() < 0.6:
        city = rng.choice(_CITIES)
        return Value(city, city)
    city, short, state = rng.choice(_STATES)
    said = rng.choice((f"{city}, {short}", f"{city}, {state}", f"{city} {short}"))
    if rng.random() < 0.6:
        return Value(said, f"{city}, {short}", note="as city and state, such as San Francisco, CA")
    return Value(said, said)


def _number(of: Any, rng: random.Random) -> Value:
    whole = rng.random() < 0.65
    value = rng.choice((rng.randint(2, 20), rng.randint(21, 999), 50 * rng.randint(20, 200)))
    if not whole:
        tenths = round(value + rng.randint(1, 99) / rng.choice((10, 100)), 2)
        return Value(f"{tenths:g}" if tenths < 1000 else f"{tenths}", tenths, _NUMBER)
    said = f"{value:,}" if value > 999 and rng.random() < 0.5 else str(value)
    return Value(said, value, _INTEGER if rng.random() < 0.3 else _NUMBER)


def _amount(of: Any, rng: random.Random) -> Value:
    if rng.random() < 0.2:
        millions = rng.choice((1.5, 2, 3, 4.2, 12, 50))
        return Value(
            rng.choice((f"${millions:g} million", f"{millions:g} million dollars")), int(millions * 1e6), _NUMBER
        )
    value = rng.choice((rng.randint(5, 95), 25 * rng.randint(4, 80), 500 * rng.randint(10, 600)))
    said = rng.choice((f"${value:,}", f"{value} dollars", f"{value:,} USD", f"${value}", f"{value} euros"))
    return Value(said, value, _INTEGER if rng.random() < 0.3 else _NUMBER)


def _percent(of: Any, rng: random.Random) -> Value:
    value = rng.choice((1.5, 2, 2.25, 3, 3.5, 4, 4.75, 5, 6, 7.5, 8, 12))
    said = rng.choice((f"{value:g}%", f"{value:g} %", f"{value:g} percent", f"{value:g} per cent"))
    if rng.random() < 0.3:
        return Value(said, round(value / 100, 6), _NUMBER, rng.choice(("as a decimal fraction", "such as 0.05 for 5%")))
    return Value(said, value, _NUMBER, rng.choice(("", "in percent")))


def _count(of: Any, rng: random.Random) -> Value:
    value = rng.randint(2, 12) if rng.random() < 0.75 else rng.randint(13, 60)
    return Value(_NUMERALS[value] if value <= 12 and rng.random() < 0.4 else str(value), value, _INTEGER)


def _small(of: Any, rng: random.Random) -> Value:
    value = rng.randint(2, 5)
    return Value(rng.choice((str(value), _NUMERALS[value])), value, _INTEGER)


def _date(of: Any, rng: random.Random) -> Value:
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
        return Value(said, value, _INTEGER)
    value = rng.choice((5, 10, 12, 15, 20, 25, 30, 40, 45, 50, 75, 90))
    return Value(rng.choice((f"{value} minutes", f"{value} min")), value, _INTEGER)


def _choice(of: Mapping[Any, list[str]], rng: random.Random) -> Value:
    options = list(of)
    value = rng.choice(options)
    schema = {"type": "integer" if isinstance(value, int) else "string", "enum": options}
    return Value(rng.choice(of[value]), value, schema)


def _flag(of: Mapping[bool, list[str]], rng: random.Random) -> Value:
    value = rng.choice(list(of))
    return Value(rng.choice(of[value]), value, {"type": "boolean"})


def _list(of: list[str], rng: random.Random) -> Value:
    items = rng.sample(of, rng.randint(1, min(3, len(of))))
    return Value(_enumerate(items), items, {"type": "array", "items": _STRING})


def _numbers(of: Any, rng: random.Random) -> Value:
    items = [rng.choice((rng.randint(1, 99), round(rng.uniform(0, 20), 1))) for _ in range(rng.randint(3, 6))]
    said = (
        _enumerate([f"{item:g}" for item in items]) if rng.random() < 0.5 else f"[{', '.join(f'{i:g}' for i in items)}]"
    )
    return Value(said, items, {"type": "array", "items": _NUMBER})


def _point(of: Any, rng: random.Random) -> Value:
    x, y = rng.randint(-9, 20), rng.randint(-9, 20)
    if rng.random() < 0.5:
        return Value(f"({x}, {y})", [x, y], {"type": "array", "items": _INTEGER}, "as [x, y]")
    axes = {"type": "object", "properties": {"x": _INTEGER, "y": _INTEGER}, "required": ["x", "y"]}
    return Value(f"({x}, {y})", {"x": x, "y": y}, axes)


def _range(of: Any, rng: random.Random) -> Value:
    low, high = rng.randint(5, 40), rng.randint(50, 300)
    fields = {"type": "object", "properties": {"min": _NUMBER, "max": _NUMBER}}
    return Value(f"${low} and ${high}", {"min": low, "max": high}, fields)


def _place_object(of: Any, rng: random.Random) -> Value:
    street, city, postcode = _address(of, rng).said, rng.choice(_CITIES), str(rng.randint(10000, 99999))
    keys = ("street", "city", "postcode")
    fields = {"type": "object", "properties": dict.fromkeys(keys, _STRING), "required": ["street", "city"]}
    value = dict(zip(keys, (street, city, postcode), strict=True))
    return Value(f"{street}, {postcode} {city}", value, fields)


def _condition(of: Any, rng: random.Random) -> Value:
    column, (operator, words) = rng.choice(("age", "total", "price", "weight")), rng.choice(_COMPARISONS)
    number = rng.randint(5, 500)
    fields = {
        "column": _STRING,
        "operator": {"type": "string", "enum": [">", "<", "="]},
        "value": _NUMBER,
    }
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    value = {"column": column, "operator": operator, "value": number}
    return Value(f"{'an' if column == 'age' else 'a'} {column} {rng.choice(words)} {number}", value, schema)


def _address(of: Any, rng: random.Random) -> Value:
    street = f"{rng.choice(('Elm', 'Station', 'Mill', 'Harbour', 'King'))} {rng.choice(('Street', 'Road', 'Lane'))}"
    said = f"{rng.randint(1, 250)} {street}"
    return Value(said, said)


def _person(of: Any, rng: random.Random) -> Value:
    name = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}" if rng.random() < 0.6 else rng.choice(_FIRST)
    return Value(name, name)


def _people(of: Any, rng: random.Random) -> Value:
    names = rng.sample(_FIRST, rng.randint(1, 3))
    return Value(_enumerate(names), names, {"type": "array", "items": _STRING})


def _email(of: Any, rng: random.Random) -> Value:
    host = rng.choice(("example.com", "mail.example", "acme.example"))
    address = f"{rng.choice(_FIRST).lower()}.{rng.choice(_LAST).lower()}@{host}"
    return Value(address, address)


def _emails(of: Any, rng: random.Random) -> Value:
    addresses = [_email(of, rng).said for _ in range(rng.randint(1, 2))]
    return Value(_enumerate(addresses), addresses, {"type": "array", "items": _STRING})


def _currency(of: Any, rng: random.Random) -> Value:
    name, code = rng.choice(_CURRENCIES)
    if rng.random() < 0.6:
        return Value(rng.choice((name, name, code)), code, note="as a three-letter code, such as SEK")
    return Value(name, name)


def _language(of: Any, rng: random.Random) -> Value:
    name, code = rng.choice(_LANGUAGES)
    return Value(name, code, note="as an ISO 639-1 code, such as en") if rng.random() < 0.3 else Value(name, name)


def _text(of: Any, rng: random.Random) -> Value:
    text = rng.choice(_TEXTS)
    return Value(rng.choice((f'"{text}"', f"'{text}'" if "'" not in text else f'"{text}"')), text)


def _moment(of: Any, rng: random.Random) -> Value:
    said = rng.choice(_MOMENTS)
    return Value(said, said)


def _code(of: Any, rng: random.Random) -> Value:
    said = f"{rng.choice(('TK', 'PX', 'ORD', 'DE', 'A'))}{rng.choice(('-', ''))}{rng.randint(1000, 9999999)}"
    return Value(said, said)


def _plain(low: int, high: int, ending: str = "") -> Callable[[Any, random.Random], Value]:
    def make(of: Any, rng: random.Random) -> Value:
        value = rng.randint(low, high)
        return Value(f"{value}{ending}", value, _INTEGER)

    return make


def _enumerate(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


_KINDS: Final[Mapping[str, Callable[[Any, random.Random], Value]]] = MappingProxyType(
    {
        "place": _place, "number": _number, "amount": _amount, "percent": _percent, "count": _count, "small": _small,
        "date": _date, "time": _time, "minutes": _minutes, "choice": _choice, "flag": _flag, "list": _list,
        "numbers": _numbers, "point": _point, "range": _range, "place_object": _place_object, "condition": _condition,
        "address": _address, "person": _person, "people": _people, "email": _email, "emails": _emails,
        "currency": _currency, "language": _language, "text": _text, "moment": _moment, "code": _code,
        "degrees": _plain(15, 25), "sides": _plain(4, 20), "year": _plain(1950, 2024),
        "small_percent": _plain(5, 100, "%"),
    }
)  # fmt: skip
