"""The engine process: runs a pipeline's steps where they cannot delay anything else.

`experts.engines.process` starts it as `python -m experts.engines.child FD`. An engine's step may hold Python's global
lock from start to end (OpenVINO GenAI's does, for 10 to 300 ms). In a replica that would freeze streams, cancels and
health checks; here it freezes nothing. The process is one loop without threads: read commands, step, report. It ends
when its replica does, because the socket then closes.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import time

from experts.catalog.engine_limits import not_honoured
from experts.catalog.spec import ExpertSpec
from experts.engine import HEARTBEAT_S, Capabilities, EngineDead, EngineError, GenerationInput, Sampling
from experts.engines.batch import Batch, Pipeline
from experts.engines.factory import honoured_sampling, load_pipeline
from experts.engines.failures import describe_failure
from experts.engines.wire import Abort, Command, Launch, Ready, Report, Submit, Unpacker, pack

_log = logging.getLogger("moegate.engine")

NICENESS = 10  # a step takes all cores: whatever carries requests and tokens goes before it
WARM_UP = GenerationInput(prompt="One two three four five six seven eight. " * 8, sampling=Sampling(max_tokens=4))


class Replica:
    """The other end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unpacker = Unpacker()

    def receive(self, *, wait: bool) -> list[Command]:
        """Return the commands that have come in; wait for the first one if asked to.

        Raises:
            EOFError: the replica is gone.
        """
        commands: list[Command] = []
        while not commands and (wait or self._has_input()):
            data = self._connection.recv(1 << 16)
            if not data:
                raise EOFError
            commands += [item for item in self._unpacker.feed(data) if isinstance(item, Launch | Submit | Abort)]
        return commands

    def report(self, report: Report) -> None:
        """Send one report."""
        self._connection.sendall(pack(report))

    def _has_input(self) -> bool:
        return bool(select.select([self._connection], [], [], 0)[0])


def serve(replica: Replica, batch: Batch) -> None:
    """Carry out commands and step until the replica is gone; say so now and then where steps bring nothing."""
    reported_s = time.monotonic()
    while True:
        events = []
        for command in replica.receive(wait=batch.is_idle):
            if not isinstance(command, Launch):
                events += batch.handle(command)
        events += batch.step()
        if events or time.monotonic() - reported_s >= HEARTBEAT_S:
            replica.report(events)
            reported_s = time.monotonic()


def warm_up(pipeline: Pipeline, context_window: int) -> None:
    """Generate a few tokens: the first request after loading is an order of magnitude slower than the others.

    Raises:
        EngineError: the model cannot even do that.
    """
    batch = Batch(pipeline, 1, context_window, time.monotonic)
    events = batch.handle(Submit(0, WARM_UP, time.monotonic()))
    while not batch.is_idle:
        events += batch.step()
    for _, progress in events:
        if isinstance(progress, EngineError):
            raise progress


def launch(replica: Replica) -> Batch:
    """Load what the first command names, warm up, and say so.

    Raises:
        EngineDead: it cannot be loaded. No client's text is here yet, so the library's own words may be told.
    """
    [command] = replica.receive(wait=True)
    if not isinstance(command, Launch):
        raise EngineDead("the engine process was not told what to load")
    spec = command.spec
    try:
        pipeline = load_pipeline(spec, command.weights)
        warm_up(pipeline, spec.context_window)
    except Exception as error:  # a library may raise anything
        raise EngineDead(f"it could not be loaded: {error}".splitlines()[0]) from error
    replica.report(Ready(capabilities_of(spec, command.weights.sha256)))
    return Batch(pipeline, spec.max_batch_size, spec.context_window, time.monotonic)


def capabilities_of(spec: ExpertSpec, artifact: str) -> Capabilities:
    """Say what an engine that was loaded for this entry can do."""
    honoured = honoured_sampling(spec.engine).difference(not_honoured(spec))
    return Capabilities(spec.max_batch_size, spec.context_window, honoured, artifact, spec.prompt_limit)


def main(descriptor: int) -> None:
    """Serve until the replica is gone; should the engine fail, say so first."""
    os.nice(NICENESS)
    with socket.socket(fileno=descriptor) as connection:
        replica = Replica(connection)
        try:
            serve(replica, launch(replica))
        except (EOFError, ConnectionError):
            return
        except Exception as error:  # the edge of the process: its replica must hear why it ends
            _log.error("the engine failed: %s", describe_failure(error))
            replica.report(error if isinstance(error, EngineDead) else EngineDead(type(error).__name__))


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    main(int(sys.argv[1]))
