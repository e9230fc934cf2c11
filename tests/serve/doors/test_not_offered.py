"""Fields that are understood and not offered: what asks for nothing is taken, anything else is refused as such."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from serve.doors.not_offered import UNSUPPORTED, NotOffered

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.sampled_from(["", "none", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


class Asked(BaseModel):
    zero: Annotated[object, NotOffered(0)] = None
    empty: Annotated[object, NotOffered({}, [])] = None
    word: Annotated[object, NotOffered("none", "auto")] = None
    never: Annotated[object, NotOffered()] = None
    no: Annotated[object, NotOffered(False)] = None


NOTHING: dict[str, list[Any]] = {
    "zero": [None, 0],
    "empty": [None, {}, []],
    "word": [None, "none", "auto"],
    "never": [None],
    "no": [None, False],
}


@pytest.mark.parametrize("field", NOTHING)
def test_what_asks_for_nothing_is_taken_as_it_is(field: str) -> None:
    for nothing in NOTHING[field]:
        assert getattr(Asked.model_validate({field: nothing}), field) == nothing
    assert getattr(Asked.model_validate({}), field) is None


@pytest.mark.parametrize("field", NOTHING)
@given(value=VALUES)
def test_anything_else_is_no_mistake_of_form_but_not_supported(field: str, value: Any) -> None:
    if any(type(value) is type(nothing) and value == nothing for nothing in NOTHING[field]):
        return
    with pytest.raises(ValidationError) as refused:
        Asked.model_validate({field: value})
    [mistake] = refused.value.errors()
    assert (mistake["type"], mistake["loc"]) == (UNSUPPORTED, (field,))


@pytest.mark.parametrize("value", [False, 0.0, "0"])
def test_what_only_equals_nothing_is_not_it(value: Any) -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate({"zero": value})


def test_the_schema_tells_what_is_taken() -> None:
    properties = Asked.model_json_schema()["properties"]
    assert {name: told["enum"] for name, told in properties.items()} == NOTHING
