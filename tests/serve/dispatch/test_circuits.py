"""Probes of the gateway's own: when they are made, what they decide, and that none is left."""

import asyncio

from protos import expert_pb2 as pb
from serve.dispatch.circuits import Circuits
from serve.errors import ExpertUnavailable
from serve.settings.tree import CircuitSettings
from serve.telemetry.metrics.dispatch import CircuitState
from tests.helpers import until


class Expert:
    """Answers `Describe` as it is told to."""

    def __init__(self) -> None:
        self.is_well = True
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.states: list[str] = []
        self.circuits = Circuits(
            ["coder"],
            CircuitSettings(failures=2, open_s=0.05, max_open_s=0.2),
            self.describe,
            probe_timeout_s=1,
            clock=asyncio.get_running_loop().time,
            on_change=lambda _, state: self.states.append(state.value),
        )

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        self.asked += 1
        await self.may_answer.wait()
        if not self.is_well:
            raise ExpertUnavailable("gone")
        return pb.DescribeResponse()

    async def fail(self, *witnesses: str | None) -> None:
        for witness in witnesses:
            self.circuits["coder"].failed(began_at=asyncio.get_running_loop().time(), witness=witness)
            await asyncio.sleep(0.002)


async def test_an_open_circuit_is_probed_until_it_closes() -> None:
    expert = Expert()
    expert.is_well = False
    await expert.fail(None, None)
    assert expert.circuits["coder"].state is CircuitState.OPEN
    await until(lambda: expert.asked == 3)
    expert.is_well = True
    await until(lambda: expert.circuits["coder"].state is CircuitState.CLOSED)
    asked = expert.asked
    await asyncio.sleep(0.3)
    assert expert.asked == asked, "and no more"
    assert expert.states == ["closed", "open", "closed"]


async def test_a_suspicion_is_one_probe_however_many_failures() -> None:
    expert = Expert()
    expert.may_answer.clear()
    await expert.fail(*["ann"] * 20)
    assert expert.asked == 1
    expert.may_answer.set()
    await asyncio.sleep(0.02)
    assert (expert.asked, expert.states) == (1, ["closed"])
    expert.is_well = False
    await expert.fail("ann", "ann")
    await until(lambda: expert.states[-1] == "open")
    await expert.circuits.close()


async def test_a_request_that_is_answered_meanwhile_has_the_last_word() -> None:
    expert = Expert()
    expert.is_well = False
    await expert.fail(None, None)
    expert.may_answer.clear()
    await until(lambda: expert.asked == 1)
    circuit = expert.circuits["coder"]
    assert circuit.enter()
    circuit.succeeded()
    expert.may_answer.set()
    await asyncio.sleep(0.1)
    assert circuit.state is CircuitState.CLOSED


async def test_nothing_is_probed_after_the_end() -> None:
    expert = Expert()
    expert.is_well = False
    before = len(asyncio.all_tasks())
    await expert.fail(None, None)
    await expert.circuits.close()
    await expert.fail("ann", "ann", None, None)
    await asyncio.sleep(0.15)
    assert (expert.asked, len(asyncio.all_tasks())) == (0, before)
