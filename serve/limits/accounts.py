"""Chooses where the keys' accounts are kept, by the settings. `serve.app` calls it at start."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from serve.limits.file_store import AccountFileError, SharedStore
from serve.limits.stores import LimitStore, LocalStore
from serve.settings.access import AccessSettings, KeySettings
from serve.settings.tree import SettingsError

log = logging.getLogger("moegate.limits")


def open_accounts(
    settings: AccessSettings, siblings_folder: Path | None, *, on_failure: Callable[[], None]
) -> LimitStore:
    """Open the accounts: in Redis, in the settings' file, in a file that the workers share, or in this process.

    Raises:
        SettingsError: the file cannot be used.
    """
    if settings.redis_url is not None:
        # Only who configures Redis needs its library.
        from serve.limits.fallback_store import FallbackStore  # noqa: PLC0415
        from serve.limits.redis_store import RedisStore  # noqa: PLC0415

        return FallbackStore(RedisStore(settings.redis_url, settings.redis_timeout_s), on_failure=on_failure)
    path = settings.accounts or (siblings_folder / "accounts" if siblings_folder is not None else None)
    if path is None:
        return LocalStore()
    try:
        return SharedStore(path)
    except AccountFileError as error:
        raise SettingsError(f"access.accounts: {error}") from None


def warn_of_forgetting(settings: AccessSettings, keys: Iterable[KeySettings]) -> None:
    """Log a warning if keys have budgets and nothing keeps them over a restart."""
    names = [key.name for key in keys if key.usd is not None]
    if names and settings.redis_url is None and settings.accounts is None:
        log.warning(
            "what keys have spent of their budgets is forgotten when this gateway ends: "
            "set access.accounts (a file) or access.redis_url",
            extra={"keys": len(names)},
        )
