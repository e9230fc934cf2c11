"""Files that commands write for their users: what is there already is replaced only if a command of ours made it.

A command claims its outputs before its work (`claim`), so that hours of it are not for nothing, and writes them in one
step (`write`). What a command made is told by its content, since people move and rename files: `is_ours` looks for
what only that command writes. Nothing else is ever removed. `router` depends on no other package of ours, so this file
is in `experts` and in `router`, the same byte by byte; a test holds them together.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

IsOurs = Callable[[Path], bool]
SIGNATURE: Final[Mapping[str, str]] = {"Software": "moegate"}  # of pictures: matplotlib's `savefig(metadata=)`
_HEAD: Final = 64 * 2**10  # bytes that are looked at where the beginning tells


class NotOurs(Exception):
    """What lies where an output belongs was made by somebody else, or nothing can be written there."""


def claim(path: Path, is_ours: IsOurs) -> None:
    """See that a file may be written; say on standard error what it will replace.

    Raises:
        NotOurs: the path holds a folder or a file that no command of ours made, or its folder cannot be.
    """
    claim_folder(path.parent)
    if path.is_dir():
        raise NotOurs(f"{path}: is a folder; name a file")
    if not path.is_file() or path.stat().st_size == 0:  # nothing there, nothing in it, or a device such as /dev/null
        return
    try:
        known = is_ours(path)
    except (OSError, ValueError, zipfile.BadZipFile):
        known = False
    if not known:
        raise NotOurs(f"{path}: was not made by this command, so it is not replaced; move it or name another")
    print(f"replacing {path}", file=sys.stderr)


def claim_all(folder: Path, files: Mapping[str, IsOurs]) -> None:
    """See that files of these names may be written into a folder; others in it are left alone.

    Raises:
        NotOurs: see `claim`.
    """
    for name, is_ours in files.items():
        claim(folder / name, is_ours)


def claim_folder(folder: Path) -> None:
    """See that a folder is there or can be made.

    Raises:
        NotOurs: a file is in its way, or this user may not write there.
    """
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path())
    if not there.is_dir():
        raise NotOurs(f"{there}: is a file; name a folder")
    if not os.access(there, os.W_OK):
        raise NotOurs(f"{there}: nothing may be written there")


def write(path: Path, content: str | bytes) -> None:
    """Write a claimed file in one step: a reader never sees half of it, and a failure leaves what was there."""
    raw = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))  # through a link, which stays one
    if target.exists() and not target.is_file():
        target.write_bytes(raw)  # a device or a pipe
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        os.chmod(aside, mode)
        os.replace(aside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def json_with(*keys: str) -> IsOurs:
    """Recognise a JSON object that has these keys."""
    return lambda path: _has(json.loads(path.read_bytes()), keys)


def json_lines_with(*keys: str) -> IsOurs:
    """Recognise JSON lines whose every object has these keys."""

    def look(path: Path) -> bool:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
        return bool(lines) and all(_has(json.loads(line), keys) for line in lines)

    return look


def text_with(mark: str) -> IsOurs:
    """Recognise a text that has a mark in its first lines."""
    return lambda path: any(line.startswith(mark.encode()) for line in _head(path).splitlines()[:3])


def arrays_with(*names: str) -> IsOurs:
    """Recognise NumPy's archive of arrays that has these names."""

    def look(path: Path) -> bool:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in names} <= set(archive.namelist())

    return look


def signed_picture(path: Path) -> bool:
    """Recognise a PNG that carries our signature (a `tEXt` chunk: PNG specification, 11.3.4)."""
    head = _head(path)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"tEXtSoftware\0moegate" in head


def nothing(path: Path) -> bool:
    """Recognise nothing: what is there stays, because people write files of this form themselves."""
    return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _has(value: Any, keys: tuple[str, ...]) -> bool:  # noqa: ANN401  # whatever JSON holds
    return isinstance(value, dict) and set(keys) <= set(value)
