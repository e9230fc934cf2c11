"""Where answers are kept: an embedded SQLite that the workers of one gateway share, or Redis for several gateways."""

from serve.settings.cache import CacheSettings
from serve.settings.state_folder import state_folder
from serve.settings.tree import SettingsError
from serve.steps.cache.sqlite_cache import SqliteCache
from serve.steps.cache.store import CacheStore


def open_store(settings: CacheSettings) -> CacheStore:
    """Make the store that the settings ask for.

    Raises:
        SettingsError: it is Redis, and the extra `[redis]` is not installed.
    """
    if settings.redis_url is None:
        path = settings.path or state_folder() / "cache.sqlite3"
        return SqliteCache(path, ttl_s=settings.ttl_s, max_bytes=settings.max_bytes)
    try:
        from serve.steps.cache.redis_cache import RedisCache  # noqa: PLC0415
    except ImportError:
        raise SettingsError("cache.redis_url needs the Redis client: pip install 'moegate[redis]'") from None
    return RedisCache(settings.redis_url, settings.redis_timeout_s, settings.ttl_s)
