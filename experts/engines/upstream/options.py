"""What a catalogue entry says about its server: where it is, what it may do, which variables hold its secrets.

A secret is never an option: an option is shown in manifests, diffs and Ray's dashboard. The names of environment
variables are; the replica reads them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "proxy-authorization", "cookie"})
_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


class UpstreamOptionsError(Exception):
    """The options cannot be used here; the message names the field, and never a secret."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TlsOptions(_Model):
    """PEM files; without any the system's authorities are trusted."""

    ca_file: Path | None = None
    cert_file: Path | None = None  # ours, where the server asks for one
    key_file: Path | None = None


class UpstreamOptions(_Model):
    """`engine_options` of an expert behind another server."""

    base_url: str  # up to and with /v1
    model: str = Field(min_length=1)  # its name there
    api_key_env: str | None = Field(default=None, pattern=_VARIABLE)  # the variable that holds the key; None = no key
    headers: dict[str, str] = {}  # of every request
    headers_env: dict[str, str] = {}  # likewise, each value out of the variable that is named
    tls: TlsOptions = TlsOptions()
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    # What the server can do. `text` describes tools in the system prompt and reads the model's own words for calls.
    tools: Literal["native", "text"] = "native"
    structured_output: bool = True  # response_format with a JSON schema
    raw_prompts: bool = True  # /completions
    usage: bool = True  # tells the tokens of a stream when asked to (stream_options.include_usage)
    temperature: bool = True  # takes temperature and top_p; some models refuse both
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    health: Literal["models", "none"] = "models"  # answers GET /models; "none": nothing is asked, it counts as well

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is not http://HOST/v1 or https://HOST/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("it holds more than a host and a path; name a secret's variable in api_key_env")
        return url.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _no_secret(cls, headers: dict[str, str]) -> dict[str, str]:
        if secret := next((name for name in headers if name.lower() in _SECRET_HEADERS), None):
            raise ValueError(f"{secret} is a secret: name the variable that holds it in headers_env or api_key_env")
        return headers


def read_secrets(options: UpstreamOptions) -> tuple[str | None, dict[str, str]]:
    """Read the key and the secret headers out of this process's environment.

    Raises:
        UpstreamOptionsError: a variable is not set, or what it holds cannot stand in a header.
    """
    key = _read("api_key_env", options.api_key_env) if options.api_key_env else None
    return key, {name: _read(f"headers_env.{name}", variable) for name, variable in options.headers_env.items()}


def _read(field: str, variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UpstreamOptionsError(f"engine_options.{field}: the variable {variable} is not set")
    if not (value.isascii() and value.isprintable()):
        raise UpstreamOptionsError(f"engine_options.{field}: what {variable} holds cannot stand in a header")
    return value
