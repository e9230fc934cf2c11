"""Signals during training: finish the step, keep a checkpoint, leave; the second time at once."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from rich.console import Console

from experts.training.stopping import StopAtRequest


@pytest.fixture
def stop() -> Iterator[StopAtRequest]:
    """A run that has begun."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    callback = StopAtRequest(Console(file=io.StringIO()))
    callback.on_train_begin(None, None, None)
    yield callback
    callback.stop_listening()
    assert {number: signal.getsignal(number) for number in before} == before


def after_a_step(stop: StopAtRequest) -> SimpleNamespace:
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    return stop.on_step_end(None, None, control)  # type: ignore[no-any-return]


def test_nothing_is_asked_while_no_signal_comes(stop: StopAtRequest) -> None:
    control = after_a_step(stop)
    assert (control.should_save, control.should_training_stop, stop.is_asked) == (False, False, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_after_the_step(stop: StopAtRequest, number: int) -> None:
    os.kill(os.getpid(), number)
    control = after_a_step(stop)
    assert (control.should_save, control.should_training_stop, stop.is_asked) == (True, True, True)


def test_a_second_ctrl_c_leaves_at_once(stop: StopAtRequest) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_only_the_main_thread_can_listen() -> None:
    before, errors = signal.getsignal(signal.SIGTERM), []

    def begin() -> None:
        try:
            StopAtRequest(Console(file=io.StringIO())).on_train_begin(None, None, None)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert errors == []
    assert signal.getsignal(signal.SIGTERM) is before
