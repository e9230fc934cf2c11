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


def streamed(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    together = CallPieces()
    calls = [call for piece in pieces for call in together.push([piece])] + together.close()
    assert [call.number for call in calls] == list(range(1, len(calls) + 1))
    assert len({call.id for call in calls}) == len(calls)
    return [(call.name, call.arguments) for call in calls]


def piece(name: str | None = None, arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    "pieces",
    [
        # in turn: a call is not whole because another has begun
        [piece("f", index=0), piece("g", index=1), piece(None, '{"a": 1}', index=0), piece(None, "{}", index=1)],
        # all of them number 0, or none; told apart by their ids, or by a name behind whole arguments
        [piece("f", '{"a": 1}', index=0, id="x"), piece("g", "{}", index=0, id="y")],
        [piece("f", '{"a": 1}', index=0), piece("g", "{}", index=0)],
        [piece("f", '{"a": 1}'), piece("g", "{}")],
        [piece("f", '{"a"'), piece(None, ": 1}"), piece("g", "{}")],
        [piece("f", '{"a": 1}', id="x"), piece("g", "{}", id="y")],
        # numbers that do not begin with 0, or go down
        [piece("f", '{"a": 1}', index=7), piece("g", "{}", index=3)],
        # the id and the name with each piece
        [piece("f", '{"a"', index=0, id="x"), piece("f", ": 1}", index=0, id="x"), piece("g", "{}", index=1, id="y")],
    ],
)
def test_calls_of_other_servers_are_told_apart(pieces: list[dict[str, Any]]) -> None:
    assert streamed(*pieces) == [("f", '{"a": 1}'), ("g", "{}")]


def test_a_call_whose_arguments_have_not_all_come_does_not_begin() -> None:
    together = CallPieces()
    assert together.push([piece("f", '{"a": ', index=0), piece("g", "{}", index=1)]) == []
    (first,) = together.push([piece(None, "1}", index=0)])
    assert first.read() == {"a": 1}
    (second,) = together.close()
    assert (second.number, second.name) == (2, "g")


def test_calls_without_ids_get_ids_of_their_own() -> None:
    ids = {call_of(1, call("f")).id for _ in range(3)}
    assert len(ids) == 3


def test_arguments_may_come_as_an_object() -> None:
    assert call_of(1, {"function": {"name": "f", "arguments": {"a": 1}}}).read() == {"a": 1}


def test_a_message_has_no_field_that_other_servers_do_not_know() -> None:
    assert call_of(1, {"id": "a", **call("f", {}, [])}).message() == {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
