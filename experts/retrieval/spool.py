"""What has been made of texts and not yet committed, in the user's cache: what a run that was killed need not redo."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experts.commands.outputs import write


class Spool:
    """Keeps arrays under the hash of encoder, texts and kind; a file appears whole or not at all."""

    def __init__(self, folder: Path, artifact: str) -> None:
        """`artifact` is the encoder's."""
        self._folder = folder
        self._artifact = artifact
        self._used: set[Path] = set()

    def get(self, texts: Sequence[str], kind: str = "") -> npt.NDArray[Any] | None:
        """Return what has been made of texts: their vectors, or what else `kind` names."""
        path = self._path(texts, kind)
        try:
            vectors: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            return None
        self._used.add(path)
        return vectors

    def put(self, texts: Sequence[str], vectors: npt.NDArray[Any], kind: str = "") -> None:
        """Keep the vectors of texts, or what else `kind` names."""
        raw = io.BytesIO()
        np.save(raw, vectors, allow_pickle=False)
        path = self._path(texts, kind)
        write(path, raw.getvalue())
        self._used.add(path)

    def clear(self) -> None:
        """Remove what this run has used: it is committed."""
        for path in self._used:
            path.unlink(missing_ok=True)
        self._used.clear()

    def _path(self, texts: Sequence[str], kind: str) -> Path:
        digest = hashlib.sha256(self._artifact.encode())
        if kind:
            digest.update(f"\0{kind}\0".encode())
        for text in texts:
            digest.update(b"%d " % len(text.encode()) + text.encode())
        return self._folder / f"{digest.hexdigest()}.npy"
