"""Brings weights and adapters from elsewhere into the cache, by the SHA-256 that the catalogue pins them to.

`bases` and `weights` beside it call it in a replica's start. A pinned address is one content for ever:
what is in the cache is used without asking the server, so a replica starts while the server is away, and content that
is not the pin's is refused before anything loads it.
"""

from __future__ import annotations

from pathlib import Path

from experts.artifacts.store import Artifact, ArtifactCorrupt, ArtifactStore, hash_content
from experts.catalog.remote import Address, RemoteError, download, parse_address


def fetch_pinned(text: str, store: ArtifactStore) -> Artifact:
    """Return the local copy of a pinned address, a file or a folder.

    Raises:
        RemoteError: the address is none, has no pin, or cannot be read.
        ArtifactCorrupt: what lies there is not what the pin says.
    """
    address = parse_address(text)
    if address.sha256 is None:
        raise RemoteError(f"{text}: give it its pin, @sha256:HEX (python -m experts.artifacts.publish prints it)")
    return store.get_or_make(f"remote-{address.sha256[:32]}", address.name, lambda target: _fetch(address, target))


def _fetch(address: Address, target: Path) -> None:
    download(address.url, target)
    found = hash_content(target)
    if found != address.sha256:
        raise ArtifactCorrupt(f"{address.url}: its content is sha256:{found}, and the catalogue wants {address.sha256}")
