"""Compiled artefacts between machines: a folder, written to or fetched from wherever fsspec reaches (s3://, a path).

`experts.compilation.neuron.export` publishes it, and the start of a replica fetches it; a replica never compiles. The
manifest is written last and read first, so a half-written artefact does not count. fsspec and its S3 driver are in the
`neuron` extra.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

from experts.artifacts.store import Artifact, ArtifactStore, hash_content
from experts.catalog.remote import Address, RemoteError, parse_address
from experts.commands.outputs import NotOurs, claim, claim_folder, write
from experts.neuron.manifest import FORMAT, MANIFEST, MODEL, ManifestMismatch, read_manifest

UNFINISHED: Final = "moegate, being written"


class StoreUnavailable(Exception):
    """The artefact cannot be read or written there; the message says what is missing."""


def publish(folder: Path, url: str) -> None:
    """Write an artefact's model, then its manifest, to a URL; a local path needs no fsspec.

    Raises:
        StoreUnavailable: the place cannot be written.
    """
    if "://" not in url:
        target = Path(url).expanduser()
        claim_artifact(url)
        write(target / MANIFEST, json.dumps({"format": UNFINISHED}))
        shutil.copytree(folder / MODEL, target / MODEL, dirs_exist_ok=True)
        shutil.copyfile(folder / MANIFEST, target / MANIFEST)
        return
    system, root = _open(url)
    if system.exists(f"{root}/{MANIFEST}"):
        system.rm(f"{root}/{MANIFEST}")
    system.put(f"{folder / MODEL}/", f"{root}/{MODEL}/", recursive=True)
    system.put(str(folder / MANIFEST), f"{root}/{MANIFEST}")


def claim_artifact(url: str) -> None:
    """See that an artefact may be written to a local folder: it is empty so far, or holds one of ours.

    Raises:
        StoreUnavailable: it holds something else.
    """
    if "://" in url:
        return
    target = Path(url).expanduser()
    try:
        claim(target / MANIFEST, _is_manifest)
        claim_folder(target / MODEL)
    except NotOurs as error:
        raise StoreUnavailable(str(error)) from None
    if (target / MODEL).exists() and not (target / MANIFEST).is_file():
        raise StoreUnavailable(f"{target / MODEL}: was not made by this command, so it is not replaced; name another")


def _is_manifest(path: Path) -> bool:
    content = json.loads(path.read_text("utf-8"))
    return isinstance(content, dict) and content.get("format") in {FORMAT, UNFINISHED}


def fetch(url: str, store: ArtifactStore, root: Path) -> Artifact:
    """Bring an artefact onto this machine; one that is here and unchanged is not fetched again.

    Args:
        url: a local path, or what fsspec opens; `@sha256:HEX` pins it to its model's hash, and then a copy that is here
            is used without asking.
        store: remembers hashes of what lies here.
        root: the cache's folder.

    Returns:
        The artefact's folder, and the hash of its model.

    Raises:
        ManifestMismatch: there is no finished artefact.
        StoreUnavailable: the place cannot be read.
    """
    if "://" not in url:
        folder = Path(url).expanduser()
        read_manifest(folder)
        return Artifact(folder, store.adopt(folder / MODEL).sha256)
    try:
        address = parse_address(url)
    except RemoteError as error:
        raise StoreUnavailable(str(error)) from None
    folder = root / f"neuron-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    here = folder / MANIFEST
    if address.sha256 is None or _model_told(here) != address.sha256:
        _bring(address, folder)
    manifest = read_manifest(folder)
    content = store.adopt(folder / MODEL)
    if content.sha256 != manifest.model_sha256:
        here.unlink()
        raise ManifestMismatch(f"{url} is not what its manifest says: publish it again")
    return Artifact(folder, content.sha256)


def _bring(address: Address, folder: Path) -> None:
    """Fetch what lies at an address, unless it is here; a pin is checked before the model is fetched.

    Raises:
        ManifestMismatch, StoreUnavailable: as `fetch`.
    """
    system, remote = _open(address.url)
    wanted = _remote_manifest(system, f"{remote}/{MANIFEST}", address.url)
    here = folder / MANIFEST
    if not here.is_file() or here.read_bytes() != wanted:
        _download(system, f"{remote}/{MODEL}", folder, wanted)
    told = _model_told(here)
    if address.sha256 not in (None, told):
        raise ManifestMismatch(f"{address.url} holds model sha256:{told}, and the catalogue wants {address.sha256}")


def _model_told(manifest: Path) -> str | None:
    """Return the model's hash that a manifest tells, if there is one that can be read."""
    try:
        return read_manifest(manifest.parent).model_sha256
    except ManifestMismatch:
        return None


def finished(folder: Path) -> bool:
    """Say whether a folder holds a whole artefact whose files are those of its manifest."""
    try:
        return read_manifest(folder).model_sha256 == hash_content(folder / MODEL)
    except ManifestMismatch:
        return False


def _download(system: Any, remote: str, folder: Path, manifest: bytes) -> None:  # noqa: ANN401  # fsspec ships no types
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    system.get(f"{remote}/", f"{folder / MODEL}/", recursive=True)
    (folder / MANIFEST).write_bytes(manifest)


def _remote_manifest(system: Any, path: str, url: str) -> bytes:  # noqa: ANN401  # fsspec ships no types
    try:
        return bytes(system.cat_file(path))
    except FileNotFoundError:
        raise ManifestMismatch(f"{url} holds no {MANIFEST}: it was never published whole") from None
    except OSError as error:
        raise StoreUnavailable(f"{url} cannot be read: {type(error).__name__}") from error


def _open(url: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415  # optional: only artefacts that travel need it
    except ImportError:
        raise StoreUnavailable(f"{url}: needs fsspec (pip install 'moegate[neuron]')") from None
    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise StoreUnavailable(f"{url}: {error}") from error
    return system, str(root).rstrip("/")
