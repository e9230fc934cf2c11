"""Settings of files that come from elsewhere: `remote` in the gateway's settings."""

from pathlib import Path

from pydantic import Field, field_validator

from experts.catalog.remote import RemoteError, parse_address
from serve.settings.base import Section


class RemoteSettings(Section):
    """Where the router's artefact and the catalogue come from, if not from this machine."""

    router: str | None = None  # address of the learned router's artefact, such as s3://BUCKET/router.npz
    catalog: str | None = None  # address of the catalogue
    interval_s: float = Field(15.0, gt=0, le=3600)  # how often they are looked at; a pinned one is not
    folder: Path | None = None  # of the local copies; None = $XDG_CACHE_HOME/moegate/remote

    @field_validator("router", "catalog")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_address(value)
            except RemoteError as error:
                raise ValueError(str(error)) from None
        return value
