"""Admission: bounded inside, bounded waiting, in order, nothing lost."""

import asyncio
import time

import pytest

from serve.admission import Admission
from serve.errors import DeadlineExceeded, Overloaded
from serve.settings import AdmissionSettings


def admission(inside: int, waiting: int, timeout_s: float = 5.0) -> Admission:
    return Admission(AdmissionSettings(max_in_flight=inside, max_queue_len=waiting, queue_timeout_s=timeout_s))


async def hold(gate: Admission, release: asyncio.Event, order: list[int], name: int) -> None:
    async with gate.permit(deadline=time.monotonic() + 5):
        order.append(name)
        await release.wait()


async def test_waiters_come_in_in_order() -> None:
    gate, release, order = admission(1, 10), asyncio.Event(), list[int]()
    tasks = []
    for name in range(5):
        tasks.append(asyncio.create_task(hold(gate, release, order, name)))
        await asyncio.sleep(0)
    assert (gate.in_flight, gate.waiting, order) == (1, 4, [0])
    release.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_a_full_queue_refuses_at_once() -> None:
    gate, release = admission(1, 0), asyncio.Event()
    task = asyncio.create_task(hold(gate, release, [], 0))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        async with gate.permit(deadline=time.monotonic() + 5):
            pytest.fail("admitted")
    release.set()
    await task


@pytest.mark.parametrize(
    ("wait_s", "timeout_s", "error"), [(0.01, 5, DeadlineExceeded), (5, 0.01, Overloaded), (-1, 5, DeadlineExceeded)]
)
async def test_waiting_ends(wait_s: float, timeout_s: float, error: type[Exception]) -> None:
    gate, release = admission(1, 1, timeout_s), asyncio.Event()
    task = asyncio.create_task(hold(gate, release, [], 0))
    await asyncio.sleep(0)
    with pytest.raises(error):
        async with gate.permit(deadline=time.monotonic() + wait_s):
            pytest.fail("admitted")
    assert gate.waiting == 0
    release.set()
    await task
    async with gate.permit(deadline=time.monotonic() + 1):
        assert gate.in_flight == 1


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    gate, release = admission(1, 1), asyncio.Event()
    first = asyncio.create_task(hold(gate, release, [], 0))
    second = asyncio.create_task(hold(gate, release, [], 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert gate.waiting == 0
    release.set()
    await first
    async with gate.permit(deadline=time.monotonic() + 1) as waited_s:
        assert waited_s < 1
    assert gate.in_flight == 0
