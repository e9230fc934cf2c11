"""Where an expert's adapter lies on this machine, brought here first if the catalogue names an address.

Whoever merges or loads an adapter asks here: `experts.compile`, the Neuron compiler's command, the reference engine.
"""

from __future__ import annotations

from pathlib import Path

from experts.artifacts.pinned import fetch_pinned
from experts.artifacts.store import ArtifactStore
from experts.catalog.remote import is_remote
from experts.catalog.spec import adapter_folder


def local_adapter(adapter: str, store: ArtifactStore) -> Path:
    """Return the folder of a catalogue's `adapter`: one that ships, a path, or the copy of a pinned address.

    Raises:
        RemoteError, ArtifactCorrupt: as `fetch_pinned`.
    """
    return fetch_pinned(adapter, store).path if is_remote(adapter) else adapter_folder(adapter)
