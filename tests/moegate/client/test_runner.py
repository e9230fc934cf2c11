"""Runs: in the order of the calls' inputs, beside each other, with errors as observations, deadlines and cancels."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from moegate.client import Cancel, Result, Runner, ServerError, Tool
from tests.fakes.plan_server import Scripted, call, in_virtual_time

UNIT_S = 0.1


class Bench:
    """Tools that take a while, and what was done when."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.live = 0
        self.most = 0

    async def work(self, name: str = "", of: Any = None, takes: float = 1) -> dict[str, Any]:
        self.live += 1
        self.most = max(self.most, self.live)
        try:
            await asyncio.sleep(takes * UNIT_S)
        finally:
            self.live -= 1
        self.done.append(name)
        return {"name": name, "of": of}

    async def fail(self, **_: Any) -> None:
        raise ValueError("no such customer")

    def tools(self) -> list[Tool]:
        return [Tool("work", "", {}, self.work), Tool("fail", "", {}, self.fail)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def answer(result: Result) -> dict[str, str]:
    return {message["tool_call_id"]: message["content"] for message in result.messages if message["role"] == "tool"}


def levels() -> list[dict[str, Any]]:
    """Return twelve calls in four levels of three; each needs one, two or all of the level above."""
    plan = [call("work", {"name": str(n)}, []) for n in (1, 2, 3)]
    for level in (1, 2, 3):
        above = [3 * (level - 1) + n for n in (1, 2, 3)]
        needs = (above[:1], above[:2], above)
        plan += [
            call("work", {"name": str(3 * level + n), "of": [f"${k}.name" for k in some]}, some)
            for n, some in enumerate(needs, start=1)
        ]
    return plan


def test_twelve_calls_in_four_levels_take_as_long_as_the_longest_path(bench: Bench) -> None:
    server = Scripted(levels(), "done")
    result, took_s = in_virtual_time(lambda: Runner(server, bench.tools(), plan=True).run_async("go"))
    assert len(result.rounds[0]) == len(bench.done) == 12
    assert took_s <= 1.15 * 4 * UNIT_S
    assert (result.text.strip(), result.is_answered) == ("done", True)
    assert result.rounds[0][11].value["of"] == ["7", "8", "9"]
    assert server.asked[0]["plan"] is True


def test_calls_begin_while_the_plan_still_comes(bench: Bench) -> None:
    streamed = Scripted(levels(), "done", pause_s=UNIT_S)
    _, took_s = in_virtual_time(lambda: Runner(streamed, bench.tools()).run_async("go"))
    assert took_s <= (12 + 1) * UNIT_S * 1.01  # the stream, and the last level behind its end


def test_plain_parallel_calls_of_any_server_run_beside_each_other(bench: Bench) -> None:
    server = Scripted([call("work", {"name": "$1"}) for _ in range(5)], "done", whole=True)
    result, took_s = in_virtual_time(lambda: Runner(server, bench.tools()).run_async("go"))
    assert took_s <= 1.15 * UNIT_S
    assert bench.done == ["$1"] * 5  # a price, not a reference
    assert result.is_answered


def test_no_more_than_so_many_at_once(bench: Bench) -> None:
    server = Scripted([call("work") for _ in range(9)], "done")
    _, took_s = in_virtual_time(lambda: Runner(server, bench.tools(), parallel=3).run_async("go"))
    assert bench.most == 3
    assert took_s == pytest.approx(3 * UNIT_S)


def test_what_goes_wrong_is_an_observation(bench: Bench) -> None:
    plan = [
        call("fail", {}, []),
        call("work", {"of": "$1"}, [1]),
        call("nobody", {}, []),
        call("work", "{", []),
        call("work", {"name": "fine"}, []),
        call("work", {"name": "$5.price"}, [5]),
        call("work", {}, [9]),
    ]
    result, _ = in_virtual_time(lambda: Runner(Scripted(plan, "sorry"), bench.tools()).run_async("go"))
    errors = [json.loads(text).get("error") for text in answer(result).values()]
    assert errors == [
        "ValueError: no such customer",
        "not carried out: call 1 failed",
        "there is no tool 'nobody'",
        "the arguments are not JSON",
        None,
        "$5.price: there is no 'price' among 'name', 'of'",
        "it depends on a call that does not come before it",
    ]
    assert result.is_answered


def test_a_list_that_cannot_be_read_is_an_observation_too(bench: Bench) -> None:
    plan = [{**call("work"), "depends_on": "all"}, call("work", {"name": "fine"}, [])]
    result, _ = in_virtual_time(lambda: Runner(Scripted(plan, "sorry"), bench.tools()).run_async("go"))
    assert "does not come before" in answer(result)["c0"]
    assert bench.done == ["fine"]


def test_what_came_of_the_calls_is_shown_and_a_new_plan_may_come(bench: Bench) -> None:
    server = Scripted([call("work", {"name": "a"}, [])], [call("work", {"name": "b"}, [])], "done")
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools(), temperature=0).run_async("go"))
    roles = [message["role"] for message in server.asked[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert server.asked[1]["messages"][1]["tool_calls"][0]["function"]["name"] == "work"
    assert [len(round_) for round_ in result.rounds] == [1, 1]
    assert server.asked[0]["temperature"] == 0


def test_after_the_last_round_words_are_asked_for(bench: Bench) -> None:
    server = Scripted(*[[call("work", {}, [])]] * 3, "these are words")
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools(), rounds=3).run_async("go"))
    assert [asked.get("tool_choice") for asked in server.asked] == [None, None, None, "none"]
    assert result.text.strip() == "these are words"


def test_calls_that_come_although_words_were_asked_for_are_not_carried_out(bench: Bench) -> None:
    server = Scripted([call("work", {}, [])], [call("work", {}, [])])
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools(), rounds=1).run_async("go"))
    assert (len(bench.done), result.text.strip(), result.is_answered) == (1, "", True)


def test_one_call_that_takes_too_long_does_not_hold_up_the_rest(bench: Bench) -> None:
    plan = [call("work", {"name": "slow", "takes": 50}, []), call("work", {"name": "fast"}, [])]
    runner = Runner(Scripted(plan, "done"), bench.tools(), call_timeout_s=3 * UNIT_S)
    result, took_s = in_virtual_time(lambda: runner.run_async("go"))
    assert "took too long" in answer(result)["c0"]
    assert (bench.done, took_s) == (["fast"], pytest.approx(3 * UNIT_S))


def test_a_run_that_takes_too_long_ends_with_what_it_has(bench: Bench) -> None:
    server = Scripted([call("work", {"takes": 50}, [])], "too late")
    result, took_s = in_virtual_time(lambda: Runner(server, bench.tools(), deadline_s=1.0).run_async("go"))
    assert (bench.live, bench.done) == (0, [])
    assert took_s <= 1.0 + 1e-6
    assert not result.is_answered or "took too long" in answer(result)["c0"]


def test_a_cancel_ends_everything_at_once(bench: Bench) -> None:
    async def run() -> float:
        cancel = Cancel()
        server = Scripted([call("work", {"takes": 50}, []) for _ in range(8)])
        task = asyncio.create_task(Runner(server, bench.tools()).run_async("go", cancel=cancel))
        await asyncio.sleep(5 * UNIT_S)
        assert bench.live == 8
        thrown_s = asyncio.get_running_loop().time()
        cancel.throw()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time() - thrown_s

    took_s, _ = in_virtual_time(run)
    assert took_s <= 0.05
    assert (bench.live, bench.done) == (0, [])


def test_a_cancel_that_was_thrown_before_begins_nothing(bench: Bench) -> None:
    cancel = Cancel()
    cancel.throw()
    server = Scripted([call("work", {}, [])])
    with pytest.raises(asyncio.CancelledError):
        in_virtual_time(lambda: Runner(server, bench.tools()).run_async("go", cancel=cancel))
    assert (bench.done, cancel.is_thrown) == ([], True)


def test_a_run_without_an_event_loop_is_cancelled_from_another_thread() -> None:
    has_begun, may_end, cancel = threading.Event(), threading.Event(), Cancel()

    def stuck() -> None:
        has_begun.set()
        may_end.wait(30)

    def throw() -> None:
        has_begun.wait(30)
        cancel.throw()

    threading.Thread(target=throw).start()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        Runner(Scripted([call("stuck", {}, [])]), [Tool("stuck", "", {}, stuck)]).run("go", cancel=cancel)
    assert time.monotonic() - began < 29  # it did not wait for the thread, which cannot be ended
    may_end.set()


def test_a_server_that_breaks_off_leaves_nothing_running(bench: Bench) -> None:
    class Broken(Scripted):
        async def answer(self, request: Any) -> Any:
            async for chunk in super().answer(request):
                yield chunk
                if bench.live:
                    raise ServerError("broke off")
                await asyncio.sleep(0.01)

    server = Broken([call("work", {"takes": 50}, []), call("work", {}, []), call("work", {}, [])])
    with pytest.raises(ServerError):
        in_virtual_time(lambda: Runner(server, bench.tools()).run_async("go"))
    assert bench.live == 0


def test_what_was_done_before_the_deadline_is_in_the_result(bench: Bench) -> None:
    plan = [
        call("work", {"name": "booked", "takes": 1}, []),
        call("work", {"takes": 50}, []),
        call("work", {"of": "$2"}, [2]),
    ]
    result, took_s = in_virtual_time(lambda: Runner(Scripted(plan), bench.tools(), deadline_s=1.0).run_async("go"))
    assert (result.is_answered, result.text) == (False, "")
    assert took_s == pytest.approx(1.0)
    assert [(one.is_ok, one.error) for one in result.rounds[0]] == [
        (True, ""),
        (False, "it took too long"),
        (False, "not carried out: call 2 failed"),
    ]
    asked = result.messages[-4]["tool_calls"]
    assert [one["id"] for one in asked] == [one["tool_call_id"] for one in result.messages[-3:]]


def test_what_was_done_while_a_late_answer_came_is_in_the_result(bench: Bench) -> None:
    plan = [call("work", {"name": name}, []) for name in "abcd"]
    server = Scripted(plan, pause_s=4 * UNIT_S)
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools(), deadline_s=1.0).run_async("go"))
    assert [one.value["name"] for one in result.rounds[0]] == ["a"]
    assert [message["role"] for message in result.messages] == ["user", "assistant", "tool"]
    assert len(server.asked) == 1


def test_once_the_deadline_has_passed_nothing_begins(bench: Bench) -> None:
    plan = [call("work", {"takes": 10}, []) for _ in range(3)]
    runner = Runner(Scripted(plan, "too late"), bench.tools(), deadline_s=1.5, parallel=1)
    result, _ = in_virtual_time(lambda: runner.run_async("go"))
    assert [one.error for one in result.rounds[0]] == [
        "",
        "it took too long",
        "not carried out: there was no time left",
    ]
    assert not result.is_answered


def test_a_server_that_breaks_off_tells_what_was_done(bench: Bench) -> None:
    class Broken(Scripted):
        async def answer(self, request: Any) -> Any:
            async for chunk in super().answer(request):
                yield chunk
            if len(self.asked) == 2:
                await asyncio.sleep(2 * UNIT_S)
                raise ServerError("broke off", 500)

    first = [call("work", {"name": "first"}, [])]
    second = [call("work", {"name": "second"}, []), call("work", {"takes": 50}, []), call("work", {}, [])]
    with pytest.raises(ServerError) as caught:
        in_virtual_time(lambda: Runner(Broken(first, second), bench.tools()).run_async("go"))
    assert [[one.error for one in round_] for round_ in caught.value.rounds] == [
        [""],
        ["", "ended before it had returned"],
    ]
    assert [one["role"] for one in caught.value.messages] == ["user", "assistant", "tool", "assistant", "tool", "tool"]
    assert (bench.live, bench.done) == (0, ["first", "second"])


def test_functions_that_misbehave_are_observations() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    inner: list[Any] = []
    inner.append(inner)

    def misbehave(how: str) -> Any:
        returned = {
            "none": None,
            "bytes": b"x",
            "keys": {(1, 2): 3},
            "circle": inner,
            "deep": nested,
            "huge": "x" * 999,
        }
        if how == "exit":
            raise SystemExit
        if how == "stop":
            raise StopIteration
        return returned[how]

    async def cancelled() -> None:
        raise asyncio.CancelledError

    hows = ["none", "bytes", "keys", "circle", "deep", "huge", "exit", "stop"]
    plan = [*(call("misbehave", {"how": how}, []) for how in hows), call("cancelled", {}, [])]
    tools = [Tool("misbehave", "", {}, misbehave), Tool("cancelled", "", {}, cancelled)]
    result = Runner(Scripted(plan, "done"), tools, deadline_s=20, result_chars=9).run("go")
    assert [one.error or one.text for one in result.rounds[0]] == [
        "null",
        "x",
        "the result cannot be written as JSON (TypeError)",
        "the result cannot be written as JSON (ValueError)",
        "the result cannot be written as JSON (RecursionError)",
        "xxxxxxxxx [cut: 9 of 999 characters]",
        "SystemExit: ",
        "StopIteration: ",
        "CancelledError: ",
    ]
    assert result.is_answered
    assert result.rounds[0][5].value == "x" * 999  # later calls get it whole


def test_what_a_tool_does_to_its_arguments_changes_nobody_elses() -> None:
    def rows() -> list[int]:
        return [3, 1, 2]

    def take(of: list[int]) -> int:
        return of.pop()

    plan = [call("rows", {}, []), *(call("take", {"of": "$1"}, [1]) for _ in range(3))]
    tools = [Tool("rows", "", {}, rows), Tool("take", "", {}, take)]
    result = Runner(Scripted(plan, "done"), tools).run("go")
    assert list(answer(result).values()) == ["[3, 1, 2]", "2", "2", "2"]


def test_a_plan_is_asked_for_again_only_where_something_failed(bench: Bench) -> None:
    failing = [call("work", {"name": "a"}, []), call("fail", {}, [])]
    whole = [call("work", {"name": "b"}, [])]
    server = Scripted(failing, whole, [call("work", {"name": "c"})], failing, "done")
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools(), rounds=4, plan=True, seed=1).run_async("go"))
    assert [asked.get("plan") for asked in server.asked] == [True, True, None, None, None]
    assert [asked["seed"] for asked in server.asked] == [1] * 5
    assert result.is_answered


def test_the_server_is_shown_what_was_carried_out(bench: Bench) -> None:
    plan = [
        call("work", {"name": "a"}, []),
        call("work", {"name": "$1.name", "of": ["$1.of", "$9"]}, [1]),
        call("work", {"name": "$1.nothing"}, [1]),
        call("fail", {"name": "$1.name"}, [1]),
        call("work", {"of": "$5"}, []),
    ]
    result, _ = in_virtual_time(lambda: Runner(Scripted(plan, "done"), bench.tools()).run_async("go"))
    shown = [json.loads(one["function"]["arguments"]) for one in result.messages[1]["tool_calls"]]
    assert shown == [
        {"name": "a"},
        {"name": "a", "of": [None, "$9"]},
        {"name": "$1.nothing"},
        {"name": "a"},
        {"of": "$5"},
    ]
    assert [one.call.arguments for one in result.rounds[0]][1] == '{"name": "$1.name", "of": ["$1.of", "$9"]}'


def test_a_long_result_is_not_told_twice() -> None:
    def read() -> str:
        return "x" * 5000

    def count(text: str) -> int:
        return len(text)

    plan = [call("read", {}, []), call("count", {"text": "$1"}, [1])]
    result = Runner(Scripted(plan, "done"), [Tool("read", "", {}, read), Tool("count", "", {}, count)]).run("go")
    assert answer(result)["c1"] == "5000"
    assert result.messages[1]["tool_calls"][1]["function"]["arguments"] == '{"text": "$1"}'


def test_calls_that_share_an_id_are_told_apart(bench: Bench) -> None:
    same = [{**call("work", {"name": name}), "id": "same"} for name in "ab"]
    result, _ = in_virtual_time(lambda: Runner(Scripted(same, "done", whole=True), bench.tools()).run_async("go"))
    ids = [one["id"] for one in result.messages[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert list(answer(result)) == ids


class Says:
    """Says these chunks, and tells when nobody listens any more."""

    def __init__(self, *chunks: Any) -> None:
        self._chunks = chunks
        self.is_closed = False

    async def answer(self, request: Any) -> Any:
        try:
            for chunk in self._chunks:
                yield chunk
                await asyncio.sleep(0)
        finally:
            self.is_closed = True


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": 5},
        {"choices": [5]},
        {"choices": [{"delta": "words"}]},
        {"choices": [{"delta": {"content": 5, "tool_calls": 3}}]},
        {"choices": [{"delta": {"tool_calls": ["x"]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": [], "function": {}}]}}]},
        {"choices": [{"message": {"tool_calls": [None]}}]},
        {"choices": [{"message": {"content": [5]}}]},
        [],
        None,
    ],
)
def test_what_is_no_answer_is_an_error_of_the_server(chunk: Any) -> None:
    server = Says(chunk, {"choices": []})
    with pytest.raises(ServerError, match="none of chat completions"):
        in_virtual_time(lambda: Runner(server, []).run_async("go"))
    assert server.is_closed


def test_of_several_answers_the_first_counts(bench: Bench) -> None:
    both = [{"index": 1, "delta": {"content": "two"}}, {"index": 0, "delta": {"content": [{"text": "one"}]}}]
    server = Says(*({"choices": [one]} for one in both), {"choices": both})
    result, _ = in_virtual_time(lambda: Runner(server, bench.tools()).run_async("go"))
    assert (result.text, result.messages[-1]) == ("oneone", {"role": "assistant", "content": "oneone"})


def test_a_server_that_says_nothing_leaves_a_conversation_that_can_go_on() -> None:
    result, _ = in_virtual_time(lambda: Runner(Says(), []).run_async("go"))
    assert result.messages[-1] == {"role": "assistant", "content": ""}


def test_a_server_whose_patience_ends_is_no_deadline() -> None:
    class Slow:
        async def answer(self, request: Any) -> Any:
            yield {"choices": []}
            raise TimeoutError

    with pytest.raises(ServerError, match="took too long"):
        in_virtual_time(lambda: Runner(Slow(), []).run_async("go"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rounds": -1}, "rounds"), ({"parallel": 0}, "parallel"), ({"result_chars": 0}, "result_chars")],
)
def test_numbers_out_of_range_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Runner(Scripted(), [], **wrong)


def test_two_tools_of_one_name_are_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="tools"):
        Runner(Scripted(), [*bench.tools(), *bench.tools()])


async def test_where_a_loop_runs_one_is_told_to_await() -> None:
    with pytest.raises(RuntimeError, match="run_async"):
        Runner(Scripted("hi"), []).run("go")


def test_a_cancel_that_was_thrown_before_asks_nobody() -> None:
    cancel, server = Cancel(), Scripted("hi")
    cancel.throw()
    with pytest.raises(asyncio.CancelledError):
        Runner(server, []).run("go", cancel=cancel)
    assert server.asked == []


def test_a_cancel_outlives_the_runs_that_it_was_given_to() -> None:
    cancel = Cancel()
    thrown: list[int] = []
    cancel.watch(lambda: thrown.append(1))
    Runner(Scripted("hi"), []).run("go", cancel=cancel)
    cancel.throw()
    assert thrown == [1]


def test_without_tools_it_is_a_plain_question() -> None:
    server = Scripted("just words")
    result, _ = in_virtual_time(lambda: Runner(server, []).run_async([{"role": "user", "content": "hi"}]))
    assert "tools" not in server.asked[0]
    assert result.messages[-1]["content"].strip() == "just words"
