"""Values as people say them, and as a call has them: what made requests are filled with.

A value is copied as it was said wherever its schema allows. Where the parameter's description asks for a form ("as
YYYY-MM-DD"), the call has that form. All words here were written for moegate.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from experts.training.recipes.made_quantities import QUANTITIES
from experts.training.recipes.said_value import NUMBER, STRING, Value, enumerated

_WORDS: Final = Path(__file__).parent / "seeds" / "words.yaml"


@cache
def words() -> Mapping[str, Sequence[str]]:
    """Read the words that stand for themselves, by kind."""
    found: dict[str, list[str]] = yaml.safe_load(_WORDS.read_text("utf-8"))
    return found


_FIRST: Final = (
    "Anna", "Ben", "Chiara", "David", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena", "Marta",
    "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sven", "Tomás", "Ursula", "Viktor", "Wanjiru", "Xin", "Yusuf", "Zoë",
    "Maribel", "Gregor", "Aurélie", "Duncan", "Ferdinand", "Siobhan", "Lucille", "Bartholomew", "Ilse", "Noor",
)  # fmt: skip
_LAST: Final = (
    "Meyer", "Okafor", "Tanaka", "Silva", "Novak", "Brown", "Haddad", "Lindqvist", "Rossi", "Kim", "O'Brien", "García",
    "Szabó", "van Dijk", "Petrova", "Fitzgerald", "Nguyen", "Abernathy", "Castellanos", "Müller", "Oyelaran", "Dubois",
    "Whitcombe", "Jankowski", "Ramaswamy", "Thorvaldsen", "Bianchi", "Achterberg",
)  # fmt: skip
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
    return Value(enumerated(items), items, {"type": "array", "items": STRING})


def _place_object(of: Any, rng: random.Random) -> Value:
    street, city, postcode = _address(of, rng).said, rng.choice(_CITIES), str(rng.randint(10000, 99999))
    keys = ("street", "city", "postcode")
    fields = {"type": "object", "properties": dict.fromkeys(keys, STRING), "required": ["street", "city"]}
    value = dict(zip(keys, (street, city, postcode), strict=True))
    return Value(f"{street}, {postcode} {city}", value, fields)


def _condition(of: Any, rng: random.Random) -> Value:
    column, (operator, words) = rng.choice(("age", "total", "price", "weight")), rng.choice(_COMPARISONS)
    number = rng.randint(5, 500)
    fields = {
        "column": STRING,
        "operator": {"type": "string", "enum": [">", "<", "="]},
        "value": NUMBER,
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
    return Value(enumerated(names), names, {"type": "array", "items": STRING})


def _email(of: Any, rng: random.Random) -> Value:
    host = rng.choice(("example.com", "mail.example", "acme.example"))
    address = f"{rng.choice(_FIRST).lower()}.{rng.choice(_LAST).lower()}@{host}"
    return Value(address, address)


def _emails(of: Any, rng: random.Random) -> Value:
    addresses = [_email(of, rng).said for _ in range(rng.randint(1, 2))]
    return Value(enumerated(addresses), addresses, {"type": "array", "items": STRING})


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


_KINDS: Final[Mapping[str, Callable[[Any, random.Random], Value]]] = MappingProxyType(
    {
        **QUANTITIES,
        "place": _place, "choice": _choice, "flag": _flag, "list": _list, "place_object": _place_object,
        "condition": _condition, "address": _address, "person": _person, "people": _people, "email": _email,
        "emails": _emails, "currency": _currency, "language": _language, "text": _text, "moment": _moment,
        "code": _code,
    }
)  # fmt: skip
