"""The folder of one fine-tuning run: who owns it, what in it is ours, and how it is emptied for a new start.

A run writes its digest into `run.txt`, which makes the folder its own. A folder that holds anything else is never taken
over. A run is never replaced by another one unless its user says `--fresh`, and then only files that runs write are
removed.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

from experts.commands.outputs import NotOurs, claim_folder, write

STAMP: Final = "run.txt"
LOSSES: Final = "losses.jsonl"
ADAPTER: Final = "adapter"
ADAPTER_FILES: Final = ("adapter_model.safetensors", "adapter_config.json", "ledger.json")
_CARD: Final = "README.md"  # peft writes one into each checkpoint
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\s*")
_STATE: Final = (  # of a checkpoint or of shards, as transformers, peft and optimum-neuron write them
    "adapter_*.safetensors",
    "adapter_config.json",
    _CARD,
    "optimizer*.pt",
    "scheduler*.pt",
    "rng_state*.pth",
    "trainer_state.json",
    "training_args.bin",
    "spent.json",
)


class OtherRun(Exception):
    """The folder holds another run, whose checkpoints would be of no use to this one; the message says what to do."""


class Stopped(Exception):
    """The run was asked to stop, and kept a checkpoint; the message says how to go on."""


def claim_run(folder: Path, digest: str, *, fresh: bool) -> None:
    """Make a folder this run's own, and keep what the same run left there.

    Raises:
        NotOurs: it holds files and no run.
        OtherRun: it holds another run, and nobody said that it may go.
    """
    claim_folder(folder)
    stamp = folder / STAMP
    if not _is_stamp(stamp) and _holds_files(folder):
        raise NotOurs(f"{folder}: holds files and no fine-tuning run, so nothing in it is touched; give --run another")
    if _is_stamp(stamp) and stamp.read_text().strip() != digest and not fresh and _holds_work(folder):
        raise OtherRun(
            f"{folder}: holds a run of other samples or settings; give --fresh to forget it, or --run another folder"
        )
    if _is_stamp(stamp) and (fresh or stamp.read_text().strip() != digest):
        _forget(folder)
    write(stamp, digest + "\n")


def last_checkpoint(folder: Path) -> Path | None:
    """Find the last checkpoint that is whole: its state is written after all the rest of it."""
    found = [path for path in _checkpoints(folder) if (path / "trainer_state.json").is_file()]
    steps = {int(path.name.rpartition("-")[2]): path for path in found}
    return steps[max(steps)] if steps else None


def _holds_files(folder: Path) -> bool:
    """Say whether anything is in it; a stamp that another process of this run is just writing is nothing."""
    return folder.is_dir() and any(not path.name.startswith(f".{STAMP}.") for path in folder.iterdir())


def _is_stamp(stamp: Path) -> bool:
    try:
        return _DIGEST.fullmatch(stamp.read_text()) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _holds_work(folder: Path) -> bool:
    return last_checkpoint(folder) is not None or (folder / ADAPTER).exists()


def keep_only(folder: Path, step: int) -> None:
    """Drop every checkpoint but one; what its user put into it stays."""
    for checkpoint in _checkpoints(folder):
        if checkpoint.name != f"checkpoint-{step}":
            _empty(checkpoint, _STATE)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]


def _forget(folder: Path) -> None:
    """Remove what runs write, file by file; whatever else lies there stays, and so does a folder that it lies in."""
    for checkpoint in (*_checkpoints(folder), folder / "sharded"):
        _empty(checkpoint, _STATE)
    _empty(folder / ADAPTER, (*ADAPTER_FILES, _CARD))
    for name in (LOSSES, STAMP):
        (folder / name).unlink(missing_ok=True)


def _empty(folder: Path, patterns: tuple[str, ...]) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    for pattern in patterns:
        for file in folder.glob(pattern):
            if file.is_file() and (file.name != _CARD or b"library_name: peft" in file.read_bytes()):
                file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty
        folder.rmdir()
