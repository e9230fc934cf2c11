"""What a run shows while it runs, and remembers for its ledger: loss, tokens per second, time left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback


class ShowProgress(TrainerCallback):  # type: ignore[misc]  # transformers ships no types here
    """Draws a bar, or where there is no terminal a line now and then, and appends each loss to a JSON-lines file.

    Attributes:
        seconds: time spent in steps, without loading and saving.
    """

    def __init__(self, console: Console, tokens_per_epoch: int, log: Path) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self._task = self._bar.add_task("starting", total=None)
        self._console = console
        self._tokens_per_epoch = tokens_per_epoch
        self._log = log
        self._began = 0.0
        self._first_step = 0
        self.seconds = 0.0
        self.save_seconds = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Start the clock."""
        self._began = time.monotonic()
        self._first_step = state.global_step
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        if self._console.is_terminal:
            self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Move the bar."""
        self._bar.update(self._task, completed=state.global_step)

    def on_log(  # the Trainer's
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: dict[str, Any] | None = None,
        **parts: Any,
    ) -> None:
        """Show and keep a loss."""
        if not logs or "loss" not in logs:
            return
        elapsed = time.monotonic() - self._began
        done = (state.global_step - self._first_step) / max(1, state.max_steps) * args.num_train_epochs
        rate = done * self._tokens_per_epoch / elapsed
        left_s = elapsed / max(1, state.global_step - self._first_step) * (state.max_steps - state.global_step)
        line = f"loss {logs['loss']:.3f}  {rate:,.0f} tok/s"
        self._bar.update(self._task, description=line)
        with self._log.open("a") as file:
            file.write(
                json.dumps({"step": state.global_step, "loss": logs["loss"], "tokens_per_s": round(rate)}) + "\n"
            )
        if not self._console.is_terminal and state.global_step % 10 == 0:
            self._console.print(f"step {state.global_step}/{state.max_steps}  {line}  {left_s / 60:.1f} min left")

    def on_train_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Stop the clock."""
        self.seconds = time.monotonic() - self._began
        self._bar.stop()
