"""The JSON suite on crafted forms."""

import json
from typing import Any

import pytest

from experts.evaluation.suites.json_forms import JsonSuite
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
    "required": ["name"],
}
ROW: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Ann is 31 years old."}],
    "schema": SCHEMA,
    "value": {"name": "Ann", "age": 31},
}


def judge(made: object, row: dict[str, Any] = ROW) -> dict[str, float]:
    suite = JsonSuite()
    return dict(suite.judge(suite.read(row, 0), Reply(made if isinstance(made, str) else json.dumps(made))))


def test_a_right_form_is_right_in_everything() -> None:
    assert set(judge({"age": 31, "name": "Ann"}).values()) == {True}


def test_case_counts_to_the_letter_alone() -> None:
    verdict = judge({"name": "ann", "age": 31})
    assert (verdict["all_fields"], verdict["verbatim"]) == (True, False)


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        ({"name": "Ann"}, {"all_fields", "complete", "verbatim"}),
        ({"name": "Ann", "age": 22}, {"all_fields", "verbatim"}),
        ({"name": "Ann", "age": 31, "city": "Oslo"}, {"all_fields", "nothing_invented", "verbatim"}),
        ({"name": "Ann", "age": "31"}, {"all_fields", "valid", "verbatim"}),
        ("Ann is 31.", {"all_fields", "valid", "complete", "verbatim"}),
        ("[1]", {"all_fields", "valid", "complete", "verbatim"}),
    ],
)
def test_what_is_wrong_is_told_apart(made: object, wrong: set[str]) -> None:
    assert {name for name, is_right in judge(made).items() if not is_right} == wrong


def test_allowed_values_may_be_several_or_none() -> None:
    row = {key: value for key, value in ROW.items() if key != "value"} | {
        "allowed": {"name": ["Ann", "A."], "age": [31, ""]}
    }
    assert judge({"name": "A."}, row)["all_fields"] is True
    assert judge({"name": "Bob"}, row)["all_fields"] is False


def test_the_schema_goes_along() -> None:
    case = JsonSuite().read(ROW, 0)
    assert json.loads(case.conversation.response_format.schema_json) == SCHEMA


@pytest.mark.parametrize("change", [{"schema": None}, {"schema": {"type": "nothing"}}, {"value": 3}, {"messages": []}])
def test_a_row_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        JsonSuite().read(ROW | change, 0)
