"""What a run shows while it runs and records for its ledger: loss, tokens per second, time left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback

from experts.training.spent import Spent, keep_spent


class ShowProgress(TrainerCallback):  # type: ignore[misc]  # transformers ships no types here
    """Draws a bar, or where there is no terminal a line now and then, and appends each loss to a JSON-lines file.

    Every checkpoint gets a note of what the run has used up, this session's on top of what `earlier` ones did.
    """

    def __init__(self, console: Console, tokens_per_epoch: int, log: Path, earlier: Spent | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self._task = self._bar.add_task("starting", total=None)
        self._console = console
        self._tokens_per_epoch = tokens_per_epoch
        self._log = log
        self._began = 0.0
        self._ended: float | None = None
        self._first_step = 0
        self._step = 0
        self._max_steps = 0
        self._epochs = 0.0
        self._earlier = earlier or Spent()

    @property
    def spent(self) -> Spent:
        """What the run has used up in training: the earlier sessions and the steps of this one."""
        if not self._max_steps:
            return self._earlier
        share = (self._step - self._first_step) / self._max_steps
        seconds = (self._ended or time.monotonic()) - self._began
        return self._earlier + Spent(tokens=share * self._epochs * self._tokens_per_epoch, train_s=seconds)

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Start the clock."""
        self._began = time.monotonic()
        self._first_step = self._step = state.global_step
        self._max_steps, self._epochs = state.max_steps, args.num_train_epochs
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        if self._console.is_terminal:
            self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Move the bar."""
        self._step = state.global_step
        self._bar.update(self._task, completed=state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Note what it took to get here."""
        keep_spent(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.spent)

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
        self._step = state.global_step
        rate = (self.spent.tokens - self._earlier.tokens) / max(elapsed, 1e-9)
        left_s = elapsed / max(1, state.global_step - self._first_step) * (state.max_steps - state.global_step)
        line = f"loss {logs['loss']:.3f}  {rate:,.0f} tok/s"
        self._bar.update(self._task, description=line)
        with self._log.open("a") as file:
            file.write(
                json.dumps({"step": state.global_step, "loss": logs["loss"], "tokens_per_s": round(rate)}) + "\n"
            )
        if not self._console.is_terminal and state.global_step % 10 == 0:
            self._console.print(
                f"step {state.global_step}/{state.max_steps}  {line}  {left_s / 60:.1f} min left",
                soft_wrap=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Stop the clock."""
        self._ended = time.monotonic()
        self._bar.stop()
