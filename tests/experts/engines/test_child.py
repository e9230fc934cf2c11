"""The engine process's loop, in a thread here: commands in, one list of events a step out, and its end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from experts.engine import Completion, EngineDead, GenerationInput, InvalidRequest, Sampling, TokenDelta
from experts.engines import child
from experts.engines.batch import Batch
from experts.engines.child import Replica, capabilities_of, launch, serve, warm_up
from experts.engines.wire import Abort, Event, Launch, Ready, Released, Report, Submit, Unpacker, Weights, pack
from tests.experts.entries import expert_spec
from tests.experts.fake_pipeline import FakePipeline

SPEC = expert_spec(engine="openvino", max_batch_size=2, context_window=1000)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The replica's end and the engine process's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        yield ours, theirs


def submit(number: int, text: str = "hi", max_tokens: int = 3) -> bytes:
    return pack(Submit(number, GenerationInput(text, Sampling(max_tokens)), time.monotonic()))


class Reports:
    """Reads what comes up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unpacker = Unpacker()
        self._read: list[Report] = []

    def next(self) -> Report:
        while not self._read:
            data = self._connection.recv(1 << 16)
            assert data, "the engine process is gone"
            self._read += self._unpacker.feed(data)  # type: ignore[arg-type]  # reports alone come up
        return self._read.pop(0)

    def until_ended(self, *numbers: int) -> list[Event]:
        """The events up to the end of every one of these sequences."""
        events: list[Event] = []
        while not set(numbers) <= {number for number, one in events if isinstance(one, Completion | Released)}:
            report = self.next()
            assert isinstance(report, list)
            events += report
        return events


@pytest.fixture
def loop(ends: tuple[socket.socket, socket.socket]) -> Iterator[tuple[socket.socket, FakePipeline]]:
    """The replica's end of a running loop, and the pipeline in it."""
    ours, theirs = ends
    pipeline, gone = FakePipeline(), []

    def run() -> None:
        try:
            serve(Replica(theirs), Batch(pipeline, 2, 1000, time.monotonic))
        except EOFError:
            gone.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    yield ours, pipeline
    ours.close()
    thread.join(60)
    assert gone, "the loop ends when its replica is gone"


def test_commands_become_events(loop: tuple[socket.socket, FakePipeline]) -> None:
    ours, _ = loop
    ours.sendall(submit(1) + submit(2, max_tokens=2))
    events = Reports(ours).until_ended(1, 2)
    told = {number: [one for owner, one in events if owner == number] for number in (1, 2)}
    assert "".join(one.text for one in told[1] if isinstance(one, TokenDelta)) == "ab"  # and "c" with its end
    assert [one.completion_tokens for one in (told[1][-1], told[2][-1]) if isinstance(one, Completion)] == [3, 2]


def test_a_command_may_come_in_pieces(loop: tuple[socket.socket, FakePipeline]) -> None:
    ours, _ = loop
    for byte in submit(1):
        ours.sendall(bytes([byte]))
    assert Reports(ours).until_ended(1)


def test_an_abort_reaches_a_sequence_that_runs(loop: tuple[socket.socket, FakePipeline]) -> None:
    ours, pipeline = loop
    reports = Reports(ours)
    ours.sendall(submit(1, max_tokens=10**6))
    reports.next()
    ours.sendall(pack(Abort(1)))
    assert isinstance(reports.until_ended(1)[-1][1], Released)
    assert not pipeline.is_busy()


def test_steps_that_bring_nothing_are_a_sign_of_life(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "HEARTBEAT_S", 0.0)
    ours, theirs = ends

    class Thinking(FakePipeline):
        def step(self) -> None:
            super().step()
            if self.steps == 5:
                ours.shutdown(socket.SHUT_RDWR)

    ours.sendall(submit(1, "think1000000"))
    with pytest.raises((EOFError, ConnectionError)):
        serve(Replica(theirs), Batch(Thinking(), 2, 1000, time.monotonic))
    reports = Reports(ours)
    assert [len(report) for report in (reports.next() for _ in range(4)) if isinstance(report, list)] == [1, 0, 0, 0]


def test_steps_that_bring_nothing_are_else_not_told(
    loop: tuple[socket.socket, FakePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "HEARTBEAT_S", float("inf"))
    ours, pipeline = loop
    ours.sendall(submit(1, "think50"))
    reports = Reports(ours)
    told = [reports.next()]
    while not any(isinstance(one, Completion) for report in told if isinstance(report, list) for _, one in report):
        told.append(reports.next())
    assert all(told)
    assert len(told) < pipeline.steps


def test_nothing_is_waited_for_where_a_step_is_due(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    replica = Replica(theirs)
    assert replica.receive(wait=False) == []
    ours.sendall(pack(Abort(1)) + pack(Abort(2)))
    assert replica.receive(wait=True) == [Abort(1), Abort(2)]
    ours.close()
    with pytest.raises(EOFError):
        replica.receive(wait=False)


def test_loading_is_told_when_it_is_done_with_what_the_engine_can_do(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ends
    pipeline = FakePipeline()
    monkeypatch.setattr(child, "load_pipeline", lambda spec, weights: pipeline)
    ours.sendall(pack(Launch(SPEC, Weights("path", "hash"))))
    batch = launch(Replica(theirs))
    assert Reports(ours).next() == Ready(capabilities_of(SPEC, "hash"))
    assert pipeline.steps >= 4, "warm before it is ready"
    assert batch.is_idle


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("no such file: x\nand a trace"), r"^it could not be loaded: no such file: x$"),
        (InvalidRequest("no template"), "^it could not be loaded: no template$"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_line(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*parts: object) -> None:
        raise error

    monkeypatch.setattr(child, "load_pipeline", fail)
    ends[0].sendall(pack(Launch(SPEC, Weights("path", "hash"))))
    with pytest.raises(EngineDead, match=words):
        launch(Replica(ends[1]))


def test_the_first_command_says_what_to_load(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(submit(1))
    with pytest.raises(EngineDead, match="was not told what to load"):
        launch(Replica(ends[1]))


def test_a_model_that_cannot_say_a_word_is_found_before_anyone_asks() -> None:
    class Mute(FakePipeline):
        def add(self, *parts: object) -> None:  # type: ignore[override]
            raise InvalidRequest("the engine refuses")

    with pytest.raises(InvalidRequest):
        warm_up(Mute(), 1000)
    pipeline = FakePipeline()
    warm_up(pipeline, 1000)
    assert not pipeline.is_busy()


def test_capabilities_are_the_entrys_and_the_engines() -> None:
    made = capabilities_of(SPEC, "hash")
    assert (made.max_batch_size, made.context_window, made.artifact, made.max_prompt_tokens) == (2, 1000, "hash", 999)
    assert {"constraint", "seed", "frequency_penalty"} <= made.sampling
    neuron = capabilities_of(SPEC.model_copy(update={"engine": "neuron", "max_prompt_tokens": 500}), "hash")
    assert neuron.max_prompt_tokens == 500
    missing = {"constraint", "seed", "frequency_penalty", "presence_penalty", "min_tokens", "ignore_eos", "logprobs"}
    assert made.sampling - neuron.sampling == missing
