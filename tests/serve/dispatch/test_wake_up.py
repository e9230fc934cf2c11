"""The calls that wake experts: one each, held until it is answered or its time is over."""

import asyncio

import pytest

from protos import expert_pb2 as pb
from serve.dispatch.wake_up import ANSWERED, GIVEN_UP, ColdStartWaker
from tests.fakes.core import FakeChannels
from tests.helpers import until


class Sleepers:
    """Two experts that may sleep, and what is told of them."""

    def __init__(self, limit_s: float = 60.0) -> None:
        self.channels = FakeChannels()
        self.channels.may_describe.clear()
        self.ends: list[tuple[str, str]] = []
        self.awake: list[tuple[str, pb.DescribeResponse]] = []
        self.waker = ColdStartWaker(
            ["coder", "advisor"],
            self.channels.describe,
            limit_s=limit_s,
            on_end=lambda expert, how: self.ends.append((expert, how)),
        )
        self.waker.on_awake.append(lambda expert, answer: self.awake.append((expert, answer)))


async def test_one_call_an_expert_until_it_answers() -> None:
    sleepers = Sleepers()
    for expert in ("coder", "coder", "advisor", "coder"):
        sleepers.waker.wake(expert)
    await until(lambda: len(sleepers.channels.described) == 2)
    assert sorted(sleepers.channels.described) == ["advisor", "coder"]
    assert sleepers.waker.is_waiting("coder")
    sleepers.channels.may_describe.set()
    await until(lambda: len(sleepers.ends) == 2)
    assert sorted(sleepers.ends) == [("advisor", ANSWERED), ("coder", ANSWERED)]
    assert sorted(expert for expert, _ in sleepers.awake) == ["advisor", "coder"]
    assert all(answer.structured_output for _, answer in sleepers.awake)
    assert not sleepers.waker.is_waiting("coder")


async def test_who_always_has_a_replica_is_not_woken() -> None:
    sleepers = Sleepers()
    sleepers.waker.wake("generalist")
    await asyncio.sleep(0.01)
    assert sleepers.channels.described == []
    assert not sleepers.waker.is_waiting("generalist")


async def test_it_can_be_woken_again_when_it_has_fallen_asleep_again() -> None:
    sleepers = Sleepers()
    sleepers.channels.may_describe.set()
    for times in (1, 2):
        sleepers.waker.wake("coder")
        await until(lambda times=times: len(sleepers.ends) == times)  # type: ignore[misc]
        await asyncio.sleep(0)
    assert sleepers.channels.described == ["coder", "coder"]


async def test_the_call_ends_with_its_time_and_is_told_as_such() -> None:
    sleepers = Sleepers(limit_s=0.02)
    sleepers.waker.wake("coder")
    await until(lambda: sleepers.ends == [("coder", GIVEN_UP)])
    assert sleepers.awake == []
    assert not sleepers.waker.is_waiting("coder")


async def test_a_call_that_is_lost_is_made_again_and_nobody_waits_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.dispatch.wake_up._PAUSE_S", 0.02)
    sleepers = Sleepers()
    sleepers.channels.ill.add("coder")
    sleepers.channels.may_describe.set()
    sleepers.waker.wake("coder")
    await until(lambda: len(sleepers.channels.described) >= 2)
    assert not sleepers.waker.is_waiting("coder"), "no call is open that an attempt could wait behind"
    sleepers.channels.ill.clear()
    await until(lambda: sleepers.ends == [("coder", ANSWERED)])


async def test_an_answer_to_somebody_else_ends_the_waiting() -> None:
    sleepers = Sleepers()
    sleepers.waker.wake("coder")
    await until(lambda: sleepers.waker.is_waiting("coder"))
    sleepers.waker.answered("coder")
    assert not sleepers.waker.is_waiting("coder")
    await sleepers.waker.close()


async def test_nothing_is_held_after_the_end() -> None:
    sleepers = Sleepers()
    before = asyncio.all_tasks()
    sleepers.waker.wake("coder")
    await until(lambda: sleepers.waker.is_waiting("coder"))
    await sleepers.waker.close()
    sleepers.waker.wake("advisor")
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert not sleepers.waker.is_waiting("coder")
    assert sleepers.ends == [], "it neither woke nor was it given up: the process ended"
