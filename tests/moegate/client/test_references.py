"""References: what is one, what it stands for, and what is only text."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moegate.client.references import UnresolvedReference, references, resolve


@dataclass
class Flight:
    name: str
    fare: dict[str, int]

    @property
    def secret(self) -> str:
        return "no field"


RESULTS: dict[int, Any] = {
    1: {"city": "Oslo", "temp": 3, "rows": [{"name": "a"}, {"name": "b"}]},
    2: "plain words",
    3: '{"id": 7}',
    4: Flight("LX 8", {"price": 99}),
    12: [10, 20],
}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("$2", "plain words"),
        ("${2}", "plain words"),
        ("$1.temp", 3),
        ("${1.temp}", 3),
        ("$1.rows[1].name", "b"),
        ("$3.id", 7),
        ("$12[0]", 10),
        ("$12", [10, 20]),
        ("It is $1.temp degrees in ${1.city}.", "It is 3 degrees in Oslo."),
        ("$2.", "plain words."),
        ("sum: ${12}", "sum: [10, 20]"),
        ("$1.rows[0].name-$1.rows[1].name", "a-b"),
        ("$1.city-", "Oslo-"),
        ("$12, $1.temp and $120", "[10, 20], 3 and $120"),
        ("$4.name costs $4.fare.price", "LX 8 costs 99"),
        ("$4.fare", {"price": 99}),
        ("$$1.temp", "$3"),
        ("\\$1.temp", "\\3"),
        ({"a": ["$1.city", {"b": "$2"}], "c": 4}, {"a": ["Oslo", {"b": "plain words"}], "c": 4}),
        ("costs $5", "costs $5"),
        ("$99", "$99"),
        ("$1,000", "$1,000"),
        ("$1.50", "$1.50"),
        ("$01", "$01"),
        ("$2, $2", "plain words, plain words"),
        ("$", "$"),
        (None, None),
        (True, True),
    ],
)
def test_what_it_stands_for(value: Any, resolved: Any) -> None:
    assert resolve(value, RESULTS, RESULTS.keys()) == resolved


@pytest.mark.parametrize(
    "value", ["$4.secret", "$4.__class__", "$1.wind", "$12[7]", "$2.length", "$1.rows.name", "$1.city.__class__"]
)
def test_what_is_not_there_is_told(value: str) -> None:
    with pytest.raises(UnresolvedReference):
        resolve(value, RESULTS, RESULTS.keys())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("$1.wind", "$1.wind: there is no 'wind' among 'city', 'temp', 'rows'"),
        ("$12[7]", "$12[7]: there is no '7' in a list of 2"),
        ("$2.length", "$2.length: there is no 'length'"),
    ],
)
def test_what_is_there_instead_is_told(value: str, told: str) -> None:
    with pytest.raises(UnresolvedReference) as caught:
        resolve(value, RESULTS, RESULTS.keys())
    assert str(caught.value) == told


def test_no_more_is_told_than_a_model_reads() -> None:
    with pytest.raises(UnresolvedReference) as caught:
        resolve("$1.x", {1: {"k" * 1000 + str(n): n for n in range(1000)}}, [1])
    assert len(str(caught.value)) < 1000


def test_a_number_that_is_no_dependency_is_text() -> None:
    assert resolve("Pay $1 to $2", {2: "Anna"}, [2]) == "Pay $1 to Anna"


def test_a_dependency_without_a_result_is_told() -> None:
    with pytest.raises(UnresolvedReference, match="has no result"):
        resolve("$4", {}, [4])


def test_all_are_found_wherever_they_stand() -> None:
    value = {"a": "$1 and ${3.x}", "b": [["$12"], {"c": "$1"}], "d": 5, "e": "1$"}
    assert list(references(value)) == [1, 3, 12, 1]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_without_dependencies_nothing_changes(value: Any) -> None:
    assert resolve(value, {}, []) == value


@given(st.text(alphabet="$123{}.[]ab_ ", max_size=30))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    try:
        resolve(text, RESULTS, RESULTS.keys())
    except UnresolvedReference as error:
        assert str(error)
    assert all(isinstance(number, int) for number in references(text))


def test_results_are_not_read_for_references() -> None:
    results = {1: "$2", 2: "secret"}
    assert resolve({"a": "$1", "b": "say $1"}, results, [1, 2]) == {"a": "$2", "b": "say $2"}


def test_each_call_gets_a_result_of_its_own() -> None:
    results: dict[int, Any] = {1: {"rows": [{"n": 1}]}}
    first, second = resolve(["$1", "$1"], results, [1])
    first["rows"].clear()
    assert second == results[1] == {"rows": [{"n": 1}]}


def test_json_that_no_reader_can_take_is_a_text() -> None:
    with pytest.raises(UnresolvedReference):
        resolve("$1.a", {1: "[" * 100_000}, [1])


def test_deep_values_end() -> None:
    value: Any = "$1"
    for _ in range(500):
        value = [value]
    assert list(references(value)) == []
    resolve(value, RESULTS, RESULTS.keys())
