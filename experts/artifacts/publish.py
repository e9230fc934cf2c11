"""Puts an adapter, weights, a router's artefact or a catalogue where a cluster fetches it: `experts.artifacts.publish`.

    python -m experts.artifacts.publish FILE_OR_FOLDER s3://BUCKET/PATH

Prints the address with its pin: what the catalogue's `adapter` or `base` takes. What lies there already is not replaced
unless its content is the same, or `--replace` says so, because somebody's catalogue may be pinned to it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experts.artifacts.store import hash_content
from experts.catalog.remote import Address, RemoteError, Unreachable, download, parse_address, upload
from experts.commands.messages import complain


class WouldReplace(RemoteError):
    """Something else lies there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Upload, and print the pinned address; return 1 when it cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m experts.artifacts.publish", description="Put an artefact into a bucket."
    )
    parser.add_argument("source", type=Path, help="a file, or a folder such as an adapter's")
    parser.add_argument("url", help="where it goes: s3://BUCKET/PATH, or what else fsspec reaches")
    parser.add_argument("--replace", action="store_true", help="even if something else lies there")
    options = parser.parse_args(arguments)
    try:
        print(publish(options.source, options.url, replace=options.replace))
    except (RemoteError, OSError) as error:
        complain(error)
        return 1
    return 0


def publish(source: Path, url: str, *, replace: bool = False) -> Address:
    """Upload a file or a folder; return its address, pinned to its content.

    Raises:
        RemoteError: the URL is none, has a pin already, or cannot be written.
        WouldReplace: something else lies there.
        OSError: the source cannot be read.
    """
    given = parse_address(url.rstrip("/"))
    if given.sha256 is not None:
        raise RemoteError(f"{url}: the pin is what this command finds out; leave it away")
    if not source.exists():
        raise RemoteError(f"{source}: does not exist")
    pinned = Address(given.url, hash_content(source))
    there = _content(given.url)
    if there == pinned.sha256:
        return pinned
    if there is not None and not replace:
        raise WouldReplace(f"{given.url}: holds something else (sha256:{there}); name another, or say --replace")
    upload(source, given.url)
    return pinned


def _content(url: str) -> str | None:
    """Return the hash of what lies there; None where nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "there"
        try:
            download(url, target)
        except Unreachable as error:
            if str(error).endswith("there is nothing"):
                return None
            raise
        return hash_content(target)


if __name__ == "__main__":
    sys.exit(main())
