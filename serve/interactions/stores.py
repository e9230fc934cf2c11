"""Where segments lie: a folder that any number of gateways append to, or an object store, whose objects are whole.

A segment is a file of gzip members, each a batch of JSON lines (RFC 1952, section 2.2: members may follow each other).
Its name begins with the time, so that names sort by age. Files of other names in the same place are nobody's business
here: they are neither read nor deleted.
"""

import fcntl
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from serve.settings.interactions import InteractionsSettings
from serve.settings.state_folder import state_folder
from serve.settings.tree import SettingsError

_NAME: Final = re.compile(r"\d{8}T\d{6,12}-[A-Za-z0-9-]{1,48}-\d+-[0-9a-f]{8}\.jsonl\.gz")
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its name, and its size in bytes."""

    name: str
    size: int


class StoreFailed(Exception):
    """The store did not do what it was asked to."""


class SegmentStore(Protocol):
    """Holds segments.

    Attributes:
        appends: a segment can be added to; otherwise it is written once, whole.
    """

    appends: bool

    def write(self, name: str, data: bytes) -> None:
        """Add whole members to a segment, or write it where the store does not append.

        Raises:
            StoreFailed: none of it is there.
        """
        ...

    def segments(self) -> list[Segment]:
        """All of them, the oldest first.

        Raises:
            StoreFailed: they cannot be listed.
        """
        ...

    def read(self, name: str) -> bytes:
        """A segment's members; none of one that is gone.

        Raises:
            StoreFailed: it cannot be read.
        """
        ...

    def replace(self, name: str, data: bytes | None) -> None:
        """Put others in the place of a segment's members, or delete it; at once or not at all.

        Raises:
            StoreFailed: the segment is as it was.
        """
        ...

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep gateways of this store from writing meanwhile, where that is possible."""
        yield


def segment_name() -> str:
    """A name that no other process, on whatever machine, gives a segment."""
    host = re.sub("[^A-Za-z0-9-]", "-", socket.gethostname())[:48] or "host"
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl.gz"


class FolderStore:
    """A folder of files. Writers lock it together, whoever rewrites a segment locks it alone."""

    appends = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Append; what was written of members that do not fit is taken back."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked(fcntl.LOCK_SH):
                _append(self.folder / name, data)
        except OSError as error:
            raise StoreFailed(_reason(error)) from None

    def segments(self) -> list[Segment]:
        """By name; a folder that is not there yet holds none."""
        try:
            found = [Segment(entry.name, entry.stat().st_size) for entry in os.scandir(self.folder) if _is_one(entry)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreFailed(_reason(error)) from None
        return sorted(found, key=lambda segment: segment.name)

    def read(self, name: str) -> bytes:
        """The file."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreFailed(_reason(error)) from None

    def replace(self, name: str, data: bytes | None) -> None:
        """Rename a new file over the old one."""
        path = self.folder / name
        try:
            if data is None:
                path.unlink(missing_ok=True)
                return
            draft, draft_name = tempfile.mkstemp(dir=self.folder, prefix=".draft-")
            try:
                with os.fdopen(draft, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft_name, path)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(draft_name)
                raise
        except OSError as error:
            raise StoreFailed(_reason(error)) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock writers out."""
        if not self.folder.is_dir():
            yield
            return
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, kind)
            yield
        finally:
            os.close(lock)


class ObjectStore:
    """Objects under a URL, by fsspec (https://filesystem-spec.readthedocs.io/en/latest/api.html)."""

    appends = False

    def __init__(self, files: Any, path: str) -> None:  # noqa: ANN401  # fsspec has no types
        self._files = files
        self._path = path.rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """Put an object."""
        try:
            self._files.pipe_file(f"{self._path}/{name}", data)
        except Exception as error:
            raise StoreFailed(_reason(error)) from None

    def segments(self) -> list[Segment]:
        """By name."""
        try:
            self._files.invalidate_cache()
            listed = self._files.ls(self._path, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise StoreFailed(_reason(error)) from None
        found = [Segment(str(one["name"]).rsplit("/", 1)[-1], int(one["size"] or 0)) for one in listed]
        return sorted((one for one in found if _NAME.fullmatch(one.name)), key=lambda segment: segment.name)

    def read(self, name: str) -> bytes:
        """The object."""
        try:
            return bytes(self._files.cat_file(f"{self._path}/{name}"))
        except FileNotFoundError:
            return b""
        except Exception as error:
            raise StoreFailed(_reason(error)) from None

    def replace(self, name: str, data: bytes | None) -> None:
        """Put another object in its place, or delete it."""
        if data is not None:
            self.write(name, data)
            return
        try:
            self._files.rm_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise StoreFailed(_reason(error)) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Objects are whole: nobody writes to one that is there."""
        yield


def open_segments(settings: InteractionsSettings) -> SegmentStore:
    """Open the place that the settings name; nothing is made or reached before something is written or read.

    Raises:
        SettingsError: it is a URL, and what it takes is not installed.
    """
    target = settings.target
    if target is None or "://" not in target:
        return FolderStore(Path(target).expanduser() if target else state_folder() / "interactions")
    try:
        import fsspec  # noqa: PLC0415  # an extra: only a URL needs it

        files, path = fsspec.core.url_to_fs(target)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"interactions.target: {_reason(error)}: pip install 'moegate[flywheel]'") from None
    return ObjectStore(files, path)


def _append(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(file).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def _is_one(entry: os.DirEntry[str]) -> bool:
    return bool(_NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)


def _reason(error: Exception) -> str:
    """What failed, without what a store says of itself: addresses and paths do not belong in a log."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
