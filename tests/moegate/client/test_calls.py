"""Calls, whole and in pieces, of servers that plan and of those that do not."""

from typing import Any

import pytest

from moegate.client.calls import Call, CallPieces, PlanError, call_of
from tests.fakes.plan_server import call


def test_a_plain_call_depends_on_nothing_whatever_it_says() -> None:
    assert call_of(2, call("pay", {"amount": "$1"})).depends_on == ()


def test_a_planned_call_depends_on_what_it_lists_and_refers_to() -> None:
    assert call_of(4, call("pay", {"amount": "$1.sum", "note": "${3} $9"}, [2])).depends_on == (1, 2, 3)
    assert call_of(4, call("pay", {"amount": "$1"}, [])).depends_on == (1,)


@pytest.mark.parametrize("listed", ["1", [True], [None], {"a": 1}])
def test_a_list_of_something_else_cannot_be_carried_out(listed: Any) -> None:
    with pytest.raises(PlanError, match="does not come before"):
        call_of(2, {**call("pay"), "depends_on": listed}).read()


@pytest.mark.parametrize(
    ("arguments", "depends_on", "message"),
    [
        ("{", (), "not JSON"),
        ("[1]", (), "not an object"),
        ("[" * 100_000, (), "not JSON|too deeply"),
        ("{}", (2,), "does not come before"),
        ("{}", (0,), "does not come before"),
    ],
)
def test_what_cannot_be_carried_out_says_why(arguments: str, depends_on: tuple[int, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Call(2, "c", "f", arguments, depends_on).read()


def test_no_arguments_are_an_empty_object() -> None:
    assert Call(1, "c", "f", "").read() == {}


def test_pieces_come_together_and_a_call_is_complete_when_the_next_begins() -> None:
    pieces = CallPieces()
    assert pieces.push([{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]) == []
    assert pieces.push([{"index": 0, "function": {"arguments": ": 1}"}, "depends_on": []}]) == []
    (first,) = pieces.push([{"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y": "$1"}'}}])
    assert (first.number, first.id, first.read()) == (1, "a", {"x": 1})
    assert pieces.push([{"index": 1, "depends_on": [1]}]) == []
    (second,) = pieces.close()
    assert (second.name, second.depends_on) == ("g", (1,))
    assert pieces.close() == []


def test_a_message_has_no_field_that_other_servers_do_not_know() -> None:
    assert call_of(1, {"id": "a", **call("f", {}, [])}).message() == {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
