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
        "$5.price: there is no 'price'",
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


def test_without_tools_it_is_a_plain_question() -> None:
    server = Scripted("just words")
    result, _ = in_virtual_time(lambda: Runner(server, []).run_async([{"role": "user", "content": "hi"}]))
    assert "tools" not in server.asked[0]
    assert result.messages[-1]["content"].strip() == "just words"
