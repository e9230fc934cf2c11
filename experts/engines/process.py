"""The replica's half of an engine whose steps run in another process.

`ProcessEngine` starts `experts.engines.child`, sends it sequences and aborts over a socket pair, and passes what comes
back to the streams that `generate` reads. One message comes a step, whatever the batch size, so the replica's event
loop wakes once a step, or now and then if steps bring nothing. If the process ends, every live sequence fails and
`check_health` reports it; Ray then replaces the replica.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from experts.catalog.spec import ExpertSpec
from experts.engine import (
    HEARTBEAT,
    HEARTBEAT_S,
    Capabilities,
    Completion,
    EngineDead,
    EngineError,
    GenerationInput,
    Load,
    QueueFull,
    TokenDelta,
)
from experts.engines.stream import TokenStream
from experts.engines.wire import (
    Abort,
    Command,
    Event,
    Launch,
    Ready,
    Released,
    Report,
    Started,
    Submit,
    Unpacker,
    Weights,
    pack,
)

_ROOT = Path(__file__).resolve().parents[2]  # what the child must be able to import from
STALL_S = 60.0  # no step takes this long; a process that is silent for it while it has work is stuck
STOP_S = 2.0

Popen = subprocess.Popen[bytes]


class ProcessEngine:
    """Implements `experts.engine.Engine`."""

    def __init__(
        self, spec: ExpertSpec, weights: Weights, spawn: Callable[[socket.socket], Popen] | None = None
    ) -> None:
        self._spawn = spawn or spawn_child
        self._spec = spec
        self._weights = weights
        self._live: dict[int, TokenStream] = {}
        self._running: set[int] = set()
        self._numbers = itertools.count()
        self._total = 0
        self._dead: EngineDead | None = EngineDead("the engine has not been started")
        self._heard_s = self._beat_s = 0.0

    @property
    def capabilities(self) -> Capabilities:
        """What the engine process said it can do, when it started."""
        return self._capabilities

    async def start(self) -> None:
        """Start the process and wait until it has loaded and warmed up.

        Raises:
            EngineDead: it could not.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._spawn(theirs)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._ready: asyncio.Future[Capabilities] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(reader))
        self._send(Launch(self._spec, self._weights))
        self._capabilities = await self._ready
        self._dead = None

    async def stop(self) -> None:
        """End the process; live sequences fail with `EngineDead`."""
        self._die(EngineDead("the engine was stopped"))
        self._reading.cancel()
        self._writer.close()
        try:
            await asyncio.to_thread(self._process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Send the request to the engine process and yield what comes back."""
        self._admit()
        number, stream = next(self._numbers), TokenStream()
        self._total += 1
        if not self._live:
            self._heard_s = time.monotonic()
        self._live[number] = stream
        self._send(Submit(number, request, time.monotonic()))
        try:
            async for item in stream:
                yield item
        finally:
            if not stream.has_ended:
                self._send(Abort(number))

    def load(self) -> Load:
        """Report how many sequences run and wait in the engine process."""
        return Load(len(self._running), len(self._live) - len(self._running), self._spec.max_batch_size)

    def sequences_total(self) -> int:
        """Count the sequences since the start."""
        return self._total

    async def check_health(self) -> None:
        """Fail if the process is dead, or has been silent for `STALL_S` with live sequences."""
        if self._live and time.monotonic() - self._heard_s > STALL_S:
            self._die(EngineDead("the engine is stuck"))
            self._process.kill()
        if self._dead is not None:
            raise self._dead

    def _admit(self) -> None:
        if self._dead is not None:
            raise self._dead
        if len(self._live) >= self._spec.max_batch_size + self._spec.max_queue_len:
            raise QueueFull(f"{self._spec.max_batch_size} sequences run and {self._spec.max_queue_len} wait")

    def _send(self, command: Command) -> None:
        if not self._writer.is_closing():
            self._writer.write(pack(command))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        unpacker = Unpacker()
        cause = EngineDead("the engine process ended")
        try:
            while data := await reader.read(1 << 16):
                self._heard_s = time.monotonic()
                for report in unpacker.feed(data):
                    self._take(report)  # type: ignore[arg-type]  # only reports come up
        except ConnectionError:
            pass
        self._die(cause)

    def _take(self, report: Report) -> None:
        if isinstance(report, Ready):
            self._ready.set_result(report.capabilities)
        elif isinstance(report, EngineError):
            self._die(EngineDead(str(report)))
        else:
            for event in report:
                self._deliver(event)
            self._beat()

    def _beat(self) -> None:
        """Tell those who wait that the engine has made a step."""
        if self._heard_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = self._heard_s
            for stream in self._live.values():
                stream.feed(HEARTBEAT)

    def _deliver(self, event: Event) -> None:
        number, progress = event
        stream = self._live.get(number)
        if stream is None:
            return
        if isinstance(progress, Started):
            self._running.add(number)
            stream.feed(TokenDelta("", 0, progress.prompt_tokens))
            return
        if not isinstance(progress, Released):
            stream.feed(progress)
        if not isinstance(progress, TokenDelta):
            self._running.discard(number)
            del self._live[number]

    def _die(self, cause: EngineDead) -> None:
        self._dead = self._dead or cause
        if not self._ready.done():
            self._ready.set_exception(cause)
        for stream in self._live.values():
            stream.feed(cause)
        self._live.clear()
        self._running.clear()


def spawn_child(theirs: socket.socket) -> Popen:
    """Start `experts.engines.child` on its end of the socket pair."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "experts.engines.child", str(theirs.fileno())]
    return subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
    )
