"""The files that a gateway has from elsewhere, and its settings once they lie here.

`serve.app` and the commands that read settings call `bring`: whoever comes after it finds paths, as on one machine.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from experts.catalog.prices import PricesError, load_prices
from experts.catalog.remote import RemoteError, parse_address
from experts.catalog.spec import CatalogError, load_catalog
from router.errors import ArtifactError
from router.model.artifact import load
from serve.live.remote.mirror import Mirror, Refused
from serve.live.remote.registries import RegistryMirror
from serve.settings.remote import RemoteSettings
from serve.settings.tree import Settings, SettingsError

_FOLDER_CHARS: Final = 16


def bring(settings: Settings) -> tuple[Settings, Sequence[Mirror | RegistryMirror]]:
    """Fetch what comes from elsewhere; return the settings with the copies' paths, and what keeps them fresh.

    Raises:
        SettingsError: one of them cannot be had or used, or the setting is there twice.
    """
    remote = settings.remote
    mirrors: list[Mirror] = []
    if remote.catalog is not None:
        mirrors.append(_mirror("catalog", remote.catalog, remote, _check_catalog(settings)))
        _begin(mirrors[-1], settings.experts.catalog, "experts.catalog")
        experts = settings.experts.model_copy(update={"catalog": mirrors[-1].copy})
        settings = settings.model_copy(update={"experts": experts})
    if remote.router is not None:
        mirrors.append(_mirror("router", remote.router, remote, _check_router))
        _begin(mirrors[-1], settings.router.artifact, "router.artifact")
        router = settings.router.model_copy(update={"artifact": mirrors[-1].copy})
        settings = settings.model_copy(update={"router": router})
    found: list[Mirror | RegistryMirror] = [*mirrors]
    if settings.flywheel.registry is not None:
        catalog = load_catalog(settings.experts.catalog, load_prices(settings.cost.prices))
        names = [spec.name for spec in catalog.experts if spec.canary_of is None]
        found.append(RegistryMirror(settings.flywheel, names))
        found[-1].begin()
    return settings, tuple(found)


def _mirror(name: str, text: str, settings: RemoteSettings, check: Callable[[Path], None]) -> Mirror:
    address = parse_address(text)
    folder = (settings.folder or _cache_folder()) / hashlib.sha256(address.url.encode()).hexdigest()[:_FOLDER_CHARS]
    return Mirror(name, address, folder / address.name, check)


def _begin(mirror: Mirror, path: Path | None, setting: str) -> None:
    """Fetch, unless another file is named already; `moegate up` comes here twice, the second time with the copy."""
    if path not in (None, mirror.copy):
        raise SettingsError(f"remote.{mirror.name}: {setting} is set as well; say once where it comes from")
    try:
        mirror.begin()
    except (RemoteError, Refused, OSError) as error:
        raise SettingsError(f"remote.{mirror.name}: {error}") from None


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "moegate" / "remote"


def _check_router(path: Path) -> None:
    try:
        load(path)
    except ArtifactError as error:
        raise Refused(str(error).replace(str(path), "the file")) from None


def _check_catalog(settings: Settings) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        try:
            load_catalog(path, load_prices(settings.cost.prices))
        except (CatalogError, PricesError) as error:
            raise Refused(str(error).replace(str(path), "the file")) from None

    return check
