"""What tools return, as the model reads it and as later calls get it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest

from moegate.client.values import NotJson, as_text, own


@dataclass
class Point:
    x: int
    tags: set[str]


class Rude:
    def __str__(self) -> str:
        raise OSError("nobody is to see this")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("words", "words"),
        (b"caf\xc3\xa9 \xff", "caf\u00e9 \ufffd"),
        ({"raw": b"x"}, '{"raw": "x"}'),
        (Point(1, {"a"}), '{"x": 1, "tags": ["a"]}'),
        ([Point(1, set())], '[{"x": 1, "tags": []}]'),
        (MappingProxyType({"a": (1, 2)}), '{"a": [1, 2]}'),
        (PurePosixPath("/a"), '"/a"'),
        ("half \ud83d", "half ?"),
        ({"name": "\udcff"}, '{"name": "?"}'),
        (float("nan"), "NaN"),
        (Point, f'"{Point}"'),
    ],
)
def test_what_the_model_reads(value: Any, text: str) -> None:
    assert as_text(value) == text


def circular() -> list[Any]:
    inner: list[Any] = []
    inner += [inner, inner]
    return inner


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("value", [{(1, 2): 3}, circular(), deep(), Rude(), [Rude()]])
def test_what_nobody_can_write_is_told(value: Any) -> None:
    with pytest.raises(NotJson, match="cannot be written") as caught:
        as_text(value)
    assert "nobody" not in str(caught.value)


def test_a_copy_is_as_the_value_is() -> None:
    lock = threading.Lock()
    value = {"a": [1, {"b": lock}], "c": (1,), "d": OrderedDict(x=1)}
    copy = own(value)
    assert copy == value
    assert copy["a"] is not value["a"]
    assert copy["a"][1]["b"] is lock


def test_what_contains_itself_is_copied_once() -> None:
    copy = own(circular())
    assert copy[0] is copy[1] is copy


def test_what_is_too_deep_to_copy_is_told() -> None:
    with pytest.raises(NotJson, match="too deeply"):
        own(deep())
