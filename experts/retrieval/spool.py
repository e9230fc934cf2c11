"""Vectors that have been made and not yet committed, in the user's cache: what a run that was killed need not redo."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experts.commands.outputs import write
from experts.retrieval.store import Vector


class Spool:
    """Keeps the vectors of texts under the hash of encoder and texts; a file appears whole or not at all."""

    def __init__(self, folder: Path, artifact: str) -> None:
        """`artifact` is the encoder's."""
        self._folder = folder
        self._artifact = artifact
        self._used: set[Path] = set()

    def get(self, texts: Sequence[str]) -> Vector | None:
        """Return the vectors of texts, if they have been made."""
        path = self._path(texts)
        try:
            vectors: Vector = np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            return None
        self._used.add(path)
        return vectors

    def put(self, texts: Sequence[str], vectors: Vector) -> None:
        """Keep the vectors of texts."""
        raw = io.BytesIO()
        np.save(raw, vectors, allow_pickle=False)
        path = self._path(texts)
        write(path, raw.getvalue())
        self._used.add(path)

    def clear(self) -> None:
        """Remove what this run has used: it is committed."""
        for path in self._used:
            path.unlink(missing_ok=True)
        self._used.clear()

    def _path(self, texts: Sequence[str]) -> Path:
        digest = hashlib.sha256(self._artifact.encode())
        for text in texts:
            digest.update(b"%d " % len(text.encode()) + text.encode())
        return self._folder / f"{digest.hexdigest()}.npy"
