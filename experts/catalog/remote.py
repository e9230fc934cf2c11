"""Files and folders elsewhere (`s3://`, whatever fsspec reaches): addresses, their pins, reading and writing them.

An address may end in `@sha256:HEX`, as an image's does: what is fetched must have that content. `experts.artifacts`
brings pinned weights to a replica by it, `serve.live.remote` follows the router's artefact and the catalogue. fsspec
and the S3 driver are in the `remote` extra, and are imported only when an address is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ADDRESS: Final = re.compile(
    r"(?P<url>[a-z][a-z0-9+.-]*://[^\s@]+(@(?!sha256:)[^\s@]+)*)(@sha256:(?P<sha256>[0-9a-f]{64}))?"
)
_CONNECT_S: Final = 5
_READ_S: Final = 30
# A listing that is kept would hide what has changed; a server that is away is told of in seconds, not minutes.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": 2}},
    }
}


class RemoteError(Exception):
    """An address cannot be used; the message names it and says why."""


class Unreachable(RemoteError):
    """It cannot be read now: the server is away, refuses, or has nothing there."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something lies, and the SHA-256 that its content must have, if it is pinned."""

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        """Write it as it is given."""
        return f"{self.url}@sha256:{self.sha256}" if self.sha256 else self.url

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.url.rstrip("/").rpartition("/")[2]


def is_remote(text: str) -> bool:
    """Say whether a text is an address and no path."""
    return "://" in text


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        RemoteError: it is none.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise RemoteError(f"{text!r} is no address such as s3://BUCKET/PATH or s3://BUCKET/PATH@sha256:HEX")
    return Address(match["url"], match["sha256"])


def state(url: str) -> str:
    """Return what changes when the file at a URL does (an S3 object's ETag and time), without reading it.

    Raises:
        Unreachable: it cannot be told.
        RemoteError: the URL's kind is unknown here.
    """
    with _open(url) as (system, path):
        found = system.info(path)
        kept = {key: str(value) for key, value in found.items() if key in _TELLING}
        return repr(sorted(kept.items()))


_TELLING: Final = frozenset({"ETag", "LastModified", "VersionId", "size", "mtime", "created", "etag", "md5Hash", "ino"})


def download(url: str, target: Path) -> None:
    """Write a file, or a folder with everything in it, to a path where nothing is yet.

    Raises:
        Unreachable: it cannot be read, or there is nothing.
        RemoteError: the URL's kind is unknown here.
    """
    with _open(url) as (system, path):
        if system.isfile(path):
            system.get_file(path, str(target))
        elif system.isdir(path):
            system.get(f"{path}/", f"{target}/", recursive=True)
        else:
            raise Unreachable(f"{url}: there is nothing")


def upload(source: Path, url: str) -> None:
    """Write a file or a folder to a URL.

    Raises:
        Unreachable: it cannot be written.
        RemoteError: the URL's kind is unknown here.
    """
    with _open(url) as (system, path):
        if source.is_dir():
            system.put(f"{source}/", f"{path}/", recursive=True)
        else:
            system.put_file(str(source), path)


@contextmanager
def _open(url: str) -> Iterator[tuple[Any, str]]:
    """Open a file system; what goes wrong with it is told by class, since its words may hold keys and addresses."""
    try:
        import fsspec  # noqa: PLC0415  # only where an address is used
    except ImportError:
        raise RemoteError(f"{url}: needs fsspec: pip install 'moegate[remote]'") from None
    try:
        system, path = fsspec.core.url_to_fs(url, **_OPTIONS.get(url.partition(":")[0], {}))
    except (ImportError, ValueError) as error:
        raise RemoteError(f"{url}: {error}") from error
    try:
        yield system, str(path).rstrip("/")
    except RemoteError:
        raise
    except FileNotFoundError:
        raise Unreachable(f"{url}: there is nothing") from None
    except Exception as error:  # every driver has errors of its own, which share no class
        raise Unreachable(f"{url}: {type(error).__name__}") from error
