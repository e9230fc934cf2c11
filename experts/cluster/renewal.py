"""Weights that change while their expert serves: an adapter that the catalogue names by a link (the flywheel's).

`experts.app` looks at the links. Where one points elsewhere, the expert's application is deployed anew: Ray Serve
starts a replica with the new weights beside the old one, and ends the old one when its last answer is out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from experts.catalog.remote import is_remote
from experts.catalog.spec import ExpertSpec, adapter_folder

LOOK_S: Final = 1.0


def adapter_link(spec: ExpertSpec) -> Path | None:
    """The link that an expert's adapter is; None where it is none."""
    if spec.adapter is None or is_remote(spec.adapter) or not spec.has_weights:
        return None
    folder = adapter_folder(spec.adapter)
    return folder if folder.is_symlink() else None


def renewal_options(spec: ExpertSpec) -> dict[str, Any]:
    """How Ray Serve replaces replicas where the weights may change: the new one comes before the old one goes."""
    if adapter_link(spec) is None:
        return {}
    return {"max_surge_percent": 100, "graceful_shutdown_timeout_s": spec.scaling.drain_s}


class Links:
    """Where the links of these experts point."""

    def __init__(self, specs: Sequence[ExpertSpec]) -> None:
        self._specs = specs
        self._seen = {spec.name: _target(spec) for spec in specs}

    def changed(self) -> list[ExpertSpec]:
        """The experts whose link points elsewhere than when last asked; one that points to nothing is left alone."""
        found = []
        for spec in self._specs:
            target = _target(spec)
            if target != self._seen[spec.name] and target is not None:
                self._seen[spec.name] = target
                found.append(spec)
        return found


def _target(spec: ExpertSpec) -> str | None:
    link = adapter_link(spec)
    if link is None:
        return None
    target = os.path.realpath(link)
    return target if Path(target).is_dir() else None
