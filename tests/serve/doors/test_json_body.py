"""Bodies: what is no JSON object, and which field of one is at fault."""

from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Tag

from serve.doors.json_body import TEXT_OR_LIST, Body, OtherType, by_type, parse
from serve.errors import InvalidRequest, MalformedBody, UnsupportedParameter


class Cat(Body):
    type: Literal["cat"] | None = None
    lives: int


class Dog(Body):
    type: Literal["dog"]
    name: str


Pet = Annotated[
    Annotated[Cat, Tag("Cat")] | Annotated[Dog, Tag("Dog")] | OtherType, by_type(cat="Cat", dog="Dog", missing="Cat")
]


class Home(Body):
    model_config = ConfigDict(extra="forbid")

    pets: Annotated[Annotated[str, Tag("Text")] | Annotated[list[Pet], Tag("List")], TEXT_OR_LIST]


@pytest.mark.parametrize("raw", [b"", b"{", b"nul", b"\xff{}", b'{"a": NaN}', b"{} {}", b"{'a': 1}"])
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(MalformedBody, match="not valid JSON"):
        parse(Home, raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"7", b'"a"'])
def test_what_is_json_and_no_object(raw: bytes) -> None:
    with pytest.raises(MalformedBody, match="must be a JSON object"):
        parse(Home, raw)


def test_objects_are_told_apart_by_their_type() -> None:
    home = parse(Home, b'{"pets": [{"type": "cat", "lives": 9}, {"type": "dog", "name": "Rex"}, {"lives": 7}]}')
    assert home.pets == [Cat(type="cat", lives=9), Dog(type="dog", name="Rex"), Cat(lives=7)]
    assert parse(Home, b'{"pets": "none"}').pets == "none"


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b'{"pets": [{"type": "dog"}]}', InvalidRequest, "pets[0].name"),
        (b'{"pets": [{"lives": "9"}]}', InvalidRequest, "pets[0].lives"),
        (b'{"pets": [7]}', InvalidRequest, "pets[0]"),
        (b'{"pets": 7}', InvalidRequest, "pets"),
        (b"{}", InvalidRequest, "pets"),
        (b'{"pets": [{"type": "fox"}]}', UnsupportedParameter, "pets[0]"),
        (b'{"pets": [{"type": ["cat"]}]}', UnsupportedParameter, "pets[0]"),
        (b'{"pets": "", "garden": 1}', UnsupportedParameter, "garden"),
    ],
)
def test_the_field_at_fault_is_named(raw: bytes, kind: type[InvalidRequest], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(Home, raw)
    assert (type(refused.value), refused.value.param) == (kind, param)
    assert f"'{param}'" in refused.value.message


def test_what_is_too_deep_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(Home, b'{"pets": ' + b"[" * 400 + b"]" * 400 + b"}")
    assert refused.value.param == "pets"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "lives", "pets"]), inner),
    max_leaves=6,
)


@given(pets=JSON)
def test_any_json_is_read_or_refused(pets: Any) -> None:
    try:
        parse(Home, orjson.dumps({"pets": pets}))
    except InvalidRequest as error:
        assert (error.param or "").startswith("pets")
