"""Small rows of the shapes that the tool-caller's sources have; what a call has stands in its request.

A row that must not be learnt from has "decoy" in its request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.experts.training.recipes.rows import said

Rows = list[dict[str, Any]]


def function(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"name": name, "description": name, "parameters": schema}


def tool(name: str, **properties: str) -> dict[str, Any]:
    return {"type": "function", "function": function(name, **properties)}


def seal(first: int, last: int) -> Rows:
    """Ask for a place; every fifth call does not fit its schema."""
    return [
        {
            "messages": said(f"{'decoy' if n % 5 == 3 else 'seal'} {n}: look for tea shops near Town{n}q"),
            "tools": [tool(f"find_shop{n}", place="string"), tool(f"sell_car{n}", wheels="integer")],
            "calls": [{"name": f"find_shop{n}", "arguments": {"place": 7 if n % 5 == 3 else f"Town{n}q"}}],
        }
        for n in range(first, last)
    ]


def bfcl() -> Rows:
    """Ask in every category; what may be left out is allowed as the empty text."""
    calls = {"simple_python": 1, "multiple": 1, "parallel": 2, "parallel_multiple": 4, "irrelevance": 0}
    return [
        {
            "id": f"{category}_{n}",
            "category": category,
            "messages": said(f"{category} {n}: add {n} to 1"),
            "tools": [tool(f"add_{category}{n}", a="integer", b="integer")],
            "ground_truth": [{f"add_{category}{n}": {"a": [n], "b": [1, 2], "c": ["x", ""]}}] * count,
        }
        for category, count in calls.items()
        for n in range(8)
    ]


def services() -> Rows:
    names = ("Hotels", "Buses", "Films")
    return [
        {"service": name, "functions": [function(f"Find{name}", city="string"), function(f"Book{name}", day="string")]}
        for name in names
    ]


def turns() -> Rows:
    """Speak of each service: a call, a value that nobody said, a question, thanks, and a talk that is too long."""

    def turn(n: int, name: str, messages: Rows, calls: Rows, missing: list[str], reply: str) -> dict[str, Any]:
        parts = {"services": [name], "messages": messages, "calls": calls, "missing": missing, "reply": reply}
        return {"id": f"{name}-{n}", **parts}

    def find(name: str, city: str) -> Rows:
        return [{"service": name, "name": f"Find{name}", "arguments": {"city": city}}]

    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello, what can I do?"}]
    made = []
    for name in ("Hotels", "Buses", "Films"):
        for n in range(5):
            made += [
                turn(n, name, said(f"sgd: {name} in Town{n}q"), find(name, f"town{n}q"), [], "I found some."),
                turn(n, name, said(f"sgd decoy: {name} in T{n}"), find(name, f"Town{n}q"), [], "I found some."),
                turn(n, name, [*talk, *said(f"sgd: {name} number {n}")], [], ["city"], "In which city?"),
                turn(n, name, [*talk, *said(f"sgd: thanks {n}")], [], [], "You are welcome."),
                turn(n, name, [*talk * 3, *said(f"sgd decoy: {name} late {n}")], [], ["city"], "Where?"),
            ]
    return made


def snips() -> Rows:
    said_so = {
        "play Band{}q": ("PlayMusic", "artist", "Band{}q"),
        "rate it {}9": ("RateBook", "rating_value", "{}9"),
        "weather in Hill{}q": ("GetWeather", "city", "Hill{}q"),
    }
    return [
        *(
            {"text": f"snips: {text.format(n)}", "name": name, "arguments": {key: value.format(n)}}
            for text, (name, key, value) in said_so.items()
            for n in range(9)
        ),
        {"text": "snips decoy: play that", "name": "PlayMusic", "arguments": {"artist": "Nobody"}},
        {"text": "snips decoy: rate Book", "name": "RateBook", "arguments": {"object_name": "Book"}},
        {"text": "snips decoy: dance", "name": "Dance", "arguments": {}},
    ]


def xsid() -> Rows:
    slots = {"alarm/set_alarm": "datetime", "weather/find": "location", "reminder/set_reminder": "reminder/todo"}
    return [
        {"text": f"xsid: {intent} Wort{n}q", "intent": intent, "slots": {slot: f"Wort{n}q"}, "lang": "de"}
        for intent, slot in slots.items()
        for n in range(6)
    ]


FILES: dict[str, Callable[[], Rows]] = {
    "seal_tools_dev": lambda: seal(0, 20),
    "seal_tools_in_domain": lambda: seal(20, 40),
    "bfcl": bfcl,
    "sgd_tools_train": turns,
    "sgd_tools_train_services": services,
    "snips_train": snips,
    "xsid_valid": xsid,
}
"""The files that the tool-caller learns from."""
