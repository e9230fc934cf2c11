"""References inside a document, as RFC 6901 writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.pointer import resolve

NAMES = st.text(st.sampled_from("ab/~01%é #"), max_size=4)
DOCUMENTS = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
# The document of RFC 6901, section 5.
EXAMPLE: Any = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("#", EXAMPLE),
        ("#/foo", ["bar", "baz"]),
        ("#/foo/0", "bar"),
        ("#/", 0),
        ("#/a~1b", 1),
        ("#/c%25d", 2),
        ("#/e%5Ef", 3),
        ("#/g%7Ch", 4),
        ("#/i%5Cj", 5),
        ("#/k%22l", 6),
        ("#/%20", 7),
        ("#/m~0n", 8),
    ],
)
def test_the_standards_own_examples(reference: str, part: object) -> None:
    assert resolve(EXAMPLE, reference) == part


def parts(document: Any, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield steps, document
    if isinstance(document, list):
        document = dict(enumerate(document))
    for name, part in document.items() if isinstance(document, dict) else ():
        yield from parts(part, (*steps, str(name)))


@given(DOCUMENTS)
def test_every_part_is_found_by_its_pointer(document: object) -> None:
    for steps, part in parts(document):
        pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
        assert resolve(document, "#" + quote(pointer, safe="/~")) is part


@pytest.mark.parametrize(
    "reference",
    [
        "#/x",
        "#/foo/2",
        "#/foo/-1",
        "#/foo/01",
        "#/foo/-",
        "#/foo/²",
        "#/foo/9999999999",
        "#/foo/0/b",
        "#//x",
        "#foo",
        "#a/b",
    ],
)
def test_what_is_not_there_is_not_found(reference: str) -> None:
    with pytest.raises(LookupError):
        resolve(EXAMPLE, reference)
