"""Every expert's circuit, and the probes that decide what requests cannot.

A probe is a call of the expert's `Describe`. It is made when a circuit has been open for its time, so that it closes
without a risk for a request. It is also made when failures of one tenant alone make the expert suspect.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial

from serve.dispatch.circuit_breaker import Circuit
from serve.dispatch.wake_up import Describe
from serve.errors import MoegateError
from serve.settings.tree import CircuitSettings
from serve.telemetry.metrics.dispatch import CircuitState

log = logging.getLogger("moegate.circuit")


class Circuits(dict[str, Circuit]):
    """The circuits of one process, by expert."""

    def __init__(
        self,
        experts: Iterable[str],
        settings: CircuitSettings,
        describe: Describe,
        *,
        probe_timeout_s: float,
        clock: Callable[[], float],
        on_change: Callable[[str, CircuitState], None],
    ) -> None:
        self._describe = describe
        self._probe_timeout_s = probe_timeout_s
        self._on_change = on_change
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._is_closed = False
        super().__init__(
            (
                name,
                Circuit(
                    settings,
                    clock=clock,
                    on_change=partial(self._changed, name),
                    on_suspicion=partial(self._start, name),
                ),
            )
            for name in experts
        )
        for name in self:
            on_change(name, CircuitState.CLOSED)

    async def is_well(self, expert: str) -> bool:
        """Probe an expert."""
        try:
            await self._describe(expert, timeout_s=self._probe_timeout_s)
        except MoegateError:
            return False
        return True

    async def close(self) -> None:
        """End the probes, and make no more."""
        self._is_closed = True
        probes = list(self._probes.values())
        for task in probes:
            task.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    def _changed(self, expert: str, state: CircuitState) -> None:
        log.warning("circuit changed", extra={"expert": expert, "state": state.value})
        self._on_change(expert, state)
        if state is CircuitState.OPEN:
            self._start(expert)

    def _start(self, expert: str) -> None:
        """Start probing the expert until its circuit is closed; one task an expert."""
        if expert in self._probes or self._is_closed:
            return
        task = self._probes[expert] = asyncio.create_task(self._probe(expert))
        task.add_done_callback(lambda _: self._probes.pop(expert, None))

    async def _probe(self, expert: str) -> None:
        circuit = self[expert]
        while True:
            await asyncio.sleep(circuit.retry_after_s)
            was_closed = circuit.state is CircuitState.CLOSED
            is_well = await self.is_well(expert)
            if was_closed or circuit.state is not CircuitState.CLOSED:  # else a request has been answered meanwhile
                circuit.probed(is_well=is_well)
            if circuit.state is CircuitState.CLOSED:
                return
