"""What every part of the settings refuses: a truth value for a number, and sizes and times beyond reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve.settings.base import Sane, Section

WEEK_S = 7 * 86400


class Part(Sane):
    timeout_s: float = 1.0
    hedge_after_ms: float = 1.0
    workers: int = 1
    most: int | None = None
    is_on: bool = False
    name: str = ""
    shares: dict[str, float] = {}  # noqa: RUF012  # pydantic copies it


@pytest.mark.parametrize("field", ["timeout_s", "workers", "most"])
@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number(field: str, value: bool) -> None:
    with pytest.raises(ValidationError, match=f"a number is needed here, not {str(value).lower()}"):
        Part.model_validate({field: value})


def test_a_truth_value_is_one_where_one_belongs() -> None:
    assert Part.model_validate({"is_on": True, "most": None}).is_on


@pytest.mark.parametrize(
    ("field", "most"), [("timeout_s", WEEK_S), ("hedge_after_ms", WEEK_S * 1000), ("workers", 2**40), ("most", 2**40)]
)
def test_the_largest_value_depends_on_the_unit_in_the_name(field: str, most: int) -> None:
    assert getattr(Part.model_validate({field: most}), field) == most
    with pytest.raises(ValidationError, match=f"at most {most}"):
        Part.model_validate({field: most + 1})


@given(st.integers() | st.floats(allow_nan=False))
def test_no_number_beyond_reason_passes(value: float) -> None:
    try:
        part = Part.model_validate({"timeout_s": value})
    except ValidationError:
        assert not 0 <= value <= WEEK_S
    else:
        assert abs(part.timeout_s) <= 2**40
        assert part.timeout_s <= WEEK_S


@pytest.mark.parametrize("values", [{"name": "true"}, {"shares": {"a": 1.0}}, {"most": "7"}])
def test_what_is_no_bare_number_is_left_to_its_own_type(values: dict[str, Any]) -> None:
    Part.model_validate(values)


class Door(Section):
    port: int = 1
    share: float = 0.5


@pytest.mark.parametrize("values", [{"prot": 1}, {"share": float("nan")}, {"share": float("-inf")}])
def test_a_section_refuses_unknown_names_and_numbers_that_are_none(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Door.model_validate(values)


def test_a_section_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Door().port = 2
