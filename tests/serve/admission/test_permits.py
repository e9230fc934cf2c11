"""Admission: bounded inside, bounded waiting, in order, nothing lost."""

import asyncio
import time
from collections.abc import Callable

import pytest

from serve.admission.permits import Admission
from serve.errors import DeadlineExceeded, Overloaded
from serve.request import Priority
from serve.settings.tree import AdmissionSettings


def admission(
    inside: int, waiting: int, timeout_s: float = 60.0, clock: Callable[[], float] = time.monotonic
) -> Admission:
    settings = AdmissionSettings(max_in_flight=inside, max_queue_len=waiting, queue_timeout_s=timeout_s)
    return Admission(settings, clock=clock)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def hold(
    gate: Admission, release: asyncio.Event, order: list[int], name: int, deadline: float | None = None
) -> None:
    async with gate.permit(deadline=deadline or time.monotonic() + 60):
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
        async with gate.permit(deadline=time.monotonic() + 60):
            pytest.fail("admitted")
    release.set()
    await task


@pytest.mark.parametrize(
    ("wait_s", "timeout_s", "error"), [(0.01, 60, DeadlineExceeded), (60, 0.01, Overloaded), (-1, 60, DeadlineExceeded)]
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
    async with gate.permit(deadline=time.monotonic() + 60):
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
    async with gate.permit(deadline=time.monotonic() + 60):
        pass
    assert gate.in_flight == 0


async def held_for(gate: Admission, clock: Clock, seconds: float) -> None:
    async with gate.permit(deadline=clock.now + 60):
        clock.now += seconds


async def test_what_cannot_finish_is_refused_at_once() -> None:
    clock = Clock()
    gate, release = admission(1, 100, timeout_s=600, clock=clock), asyncio.Event()
    await held_for(gate, clock, 200)  # so long does it take
    task = asyncio.create_task(hold(gate, release, [], 0, clock.now + 600))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:  # were it to wait, it would wait for 300 s
        async with gate.permit(deadline=clock.now + 300):
            pytest.fail("admitted")
    assert refused.value.retry_after_s == 60.0
    release.set()
    await task


async def test_what_has_waited_too_long_to_finish_is_not_let_in() -> None:
    clock = Clock()
    gate, release = admission(1, 100, timeout_s=600, clock=clock), asyncio.Event()
    await held_for(gate, clock, 100)
    holder = asyncio.create_task(hold(gate, release, [], 0, clock.now + 900))
    await asyncio.sleep(0)
    hopeless = asyncio.create_task(gate.permit(deadline=clock.now + 250).__aenter__())
    patient: list[int] = []
    waiter = asyncio.create_task(hold(gate, release, patient, 1, clock.now + 900))
    await asyncio.sleep(0)
    clock.now += 200  # now 50 s are left to the one, and it would take 100
    release.set()
    with pytest.raises(Overloaded):
        await hopeless
    await asyncio.gather(holder, waiter)
    assert patient == [1]
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_an_interactive_request_takes_a_batch_ones_place() -> None:
    gate, release = admission(1, 1), asyncio.Event()
    holder = asyncio.create_task(hold(gate, release, [], 0))
    await asyncio.sleep(0)
    deadline = time.monotonic() + 60

    async def batch() -> None:
        async with gate.permit(deadline=deadline, priority=Priority.BATCH):
            pytest.fail("admitted")

    displaced = asyncio.create_task(batch())
    await asyncio.sleep(0)
    interactive = asyncio.create_task(hold(gate, release, order := [], 1))
    with pytest.raises(Overloaded):
        await displaced
    with pytest.raises(Overloaded):
        await batch()  # a batch request displaces nobody
    release.set()
    await asyncio.gather(holder, interactive)
    assert order == [1]
