"""Settings of the cache of answers."""

from pathlib import Path

from pydantic import Field

from serve.settings.base import Section


class CacheSettings(Section):
    """Whether the same request gets the same answer again, without an expert, and for how long."""

    enabled: bool = False
    path: Path | None = None  # SQLite; None = cache.sqlite3 in the user's state folder
    # For several gateways, in place of the file; its own `maxmemory` bounds it.
    redis_url: str | None = Field(None, pattern="^(redis|rediss|unix)://.")
    redis_timeout_s: float = Field(0.05, gt=0)  # after which an expert is asked
    ttl_s: float = Field(3600.0, gt=0)
    max_bytes: int = Field(256 * 2**20, ge=2**16)  # of the file's answers; beyond it the oldest go
    max_answer_bytes: int = Field(2**20, ge=1024)  # a longer one is not kept
