"""Ctrl-C and SIGTERM during training: the current step is finished, a checkpoint is kept, and the run ends."""

from __future__ import annotations

import signal
import threading
from typing import Any

from rich.console import Console
from transformers import TrainerCallback


class StopAtRequest(TrainerCallback):  # type: ignore[misc]  # transformers ships no types here
    """Asks the Trainer for a checkpoint and an end after the step in which a signal came.

    A second Ctrl-C leaves at once: the handler that was there before is back after the first.

    Attributes:
        is_asked: whether a signal came.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: dict[int, Any] = {}
        self.is_asked = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Listen, where signals can be listened to."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> Any:  # Trainer's
        """Have a checkpoint written and the run ended."""
        if self.is_asked:
            control.should_save = True
            control.should_training_stop = True
        return control

    def stop_listening(self) -> None:
        """Put back the handlers that were there before."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        self.is_asked = True
        self.stop_listening()
        self._console.print("stopping after this step, with a checkpoint; again: at once", soft_wrap=True)
