"""The doors' settings: where they listen, what they take at most, which web pages may call, TLS."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from serve.settings.base import Section


def _without_brackets(host: object) -> object:
    """`[::1]`, as URLs write an IPv6 address, is `::1`."""
    return host[1:-1] if isinstance(host, str) and host.startswith("[") and host.endswith("]") else host


Host = Annotated[str, BeforeValidator(_without_brackets)]
"""A name or an address to listen on."""

Origin = Annotated[str, Field(pattern=r"^(\*|null|file://|[a-z][a-z0-9+.-]*://[^/\s]+)$")]
"""Scheme, host and port of a web page, as a browser sends them; or any."""


class CorsSettings(Section):
    """Which web pages may call the HTTP door from a browser."""

    allow_origins: tuple[Origin, ...] = ()  # such as https://app.example.org; "*" = any page; none = CORS is off
    max_age_s: int = Field(600, ge=0)  # how long a browser may remember the answer


class HttpSettings(Section):
    """The HTTP door."""

    host: Host = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)  # 0 = any free port
    max_body_bytes: int = Field(4 * 2**20, ge=1024)
    max_header_bytes: int = Field(32 * 2**10, ge=1024)
    max_connections: int = Field(4096, ge=1)
    read_timeout_s: float = Field(30.0, gt=0)  # from a request's first byte (or the connection) to its last
    keep_alive_s: int = Field(75, ge=1)
    heartbeat_s: float | None = Field(None, gt=0)  # a comment so often until a stream's first token; None = none
    cors: CorsSettings = Field(default_factory=CorsSettings)


class GrpcSettings(Section):
    """The gRPC door."""

    host: Host = "127.0.0.1"
    port: int = Field(8001, ge=0, le=65535)
    max_message_bytes: int = Field(4 * 2**20, ge=1024)
    max_metadata_bytes: int = Field(32 * 2**10, ge=1024)
    max_streams: int = Field(4096, ge=1)  # open calls of one connection
    min_ping_interval_s: float = Field(5.0, ge=0)  # clients may send keepalive pings so often, with or without calls


class TlsSettings(Section):
    """TLS for both doors; PEM files."""

    certificate: Path | None = None  # None = plain text
    key: Path | None = None
    client_ca: Path | None = None  # clients must show a certificate that it signed

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs a certificate")
        return self
