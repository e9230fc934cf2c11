"""Who may come in, and how much each key may use."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from serve.settings.base import Section


class KeySettings(Section):
    """One API key; `moegate key add NAME` makes one."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")  # the tenant in logs
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the key, in hexadecimal
    rpm: int | None = Field(None, ge=1)  # requests a minute
    tpm: int | None = Field(None, ge=1)  # tokens a minute, of prompts and answers together
    usd: float | None = Field(None, ge=0)  # USD a day or month, at the catalogue's prices
    usd_per: Literal["day", "month"] = "day"  # UTC days; a month is 30 of them
    operator: bool = False  # may see what every key has used
    collections: tuple[str, ...] = ()  # that it may search; "*" = every one
    toolsets: tuple[str, ...] = ()  # sets of tools that it may name; "*" = every one


class AccessSettings(Section):
    """Who may come in."""

    keys: tuple[KeySettings, ...] = ()  # none, and no file = everybody
    keys_file: Path | None = None  # YAML with `keys`, as above
    allow_open: bool = False  # without keys, listen beyond this machine all the same
    # Where limits are counted, for several gateways; None = in this one.
    redis_url: str | None = Field(None, pattern="^(redis|rediss|unix)://.")
    accounts: Path | None = None  # file that keeps them over a restart where there is no Redis; None = nothing does
    redis_timeout_s: float = Field(0.05, gt=0)  # after which the gateway counts for itself
