"""What can be set, and its defaults: one frozen tree, read once at start.

Sources, strongest first: command line, environment (`MOEGATE_HTTP__PORT=8080`), the YAML file given by `--config`
or `MOEGATE_CONFIG`, the defaults here (which `deploy/gateway.yaml` spells out with comments). Parts are handed
down as arguments; nobody reads the environment after start.
"""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource


class SettingsError(Exception):
    """The configuration cannot be used; the message names the field."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(_Section):
    """The HTTP door."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)  # 0 = any free port
    max_body_bytes: int = Field(4 * 2**20, ge=1024)
    max_header_bytes: int = Field(32 * 2**10, ge=1024)
    max_connections: int = Field(4096, ge=1)
    read_timeout_s: float = Field(30.0, gt=0)  # from a request's first byte (or the connection) to its last
    keep_alive_s: int = Field(75, ge=1)


class GrpcSettings(_Section):
    """The gRPC door."""

    host: str = "127.0.0.1"
    port: int = Field(8001, ge=0, le=65535)
    max_message_bytes: int = Field(4 * 2**20, ge=1024)
    max_metadata_bytes: int = Field(32 * 2**10, ge=1024)
    max_streams: int = Field(4096, ge=1)  # open calls of one connection


class TlsSettings(_Section):
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


class ExpertsSettings(_Section):
    """Where the experts are and how they are watched."""

    catalog: Path | None = None  # None = the catalogue that ships
    target: str = "127.0.0.1:9000"  # Ray Serve's gRPC ingress
    secret: str | None = Field(None, pattern=r"^[!-~]{16,}$", repr=False)  # replicas ask for it; None = they do not
    probe_interval_s: float = Field(5.0, gt=0)
    probe_timeout_s: float = Field(2.0, gt=0)
    probe_failures: int = Field(2, ge=1)  # consecutive failed probes before an expert counts as down
    accept_timeout_s: float = Field(1.0, gt=0)  # a replica that has not taken a request on by then is passed over
    wake_timeout_s: float = Field(300.0, gt=0)  # how long a call that wakes an expert without replicas is held open
    channels: int = Field(2, ge=1, le=64)  # HTTP/2 connections to the ingress


class KeySettings(_Section):
    """One API key; `moegate key NAME` makes one."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")  # the tenant in logs
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the key, in hexadecimal
    rpm: int | None = Field(None, ge=1)  # requests a minute
    tpm: int | None = Field(None, ge=1)  # tokens a minute, of prompts and answers together
    usd: float | None = Field(None, ge=0)  # USD a day or month, at the catalogue's prices
    usd_per: Literal["day", "month"] = "day"  # UTC days; a month is 30 of them


class AccessSettings(_Section):
    """Who may come in."""

    keys: tuple[KeySettings, ...] = ()  # none, and no file = everybody
    keys_file: Path | None = None  # YAML with `keys`, as above
    allow_open: bool = False  # without keys, listen beyond this machine all the same
    redis_url: str | None = None  # where limits are counted, for several gateways; None = in this one
    redis_timeout_s: float = Field(0.05, gt=0)  # after which the gateway counts for itself


class CircuitSettings(_Section):
    """When an expert is left alone, and for how long."""

    failures: int = Field(5, ge=1)  # in a row
    open_s: float = Field(5.0, gt=0)  # doubled each time a trial fails
    max_open_s: float = Field(60.0, gt=0)


class DispatchSettings(_Section):
    """What is done when an expert fails or is slow."""

    retries: int = Field(1, ge=0, le=5)  # further attempts at the same expert, before the next one is asked
    retry_ratio: float = Field(0.2, ge=0)  # retries, fallbacks and hedges per request, in the long run
    retry_burst: float = Field(20.0, ge=1)  # and at once
    hedge_after_ms: float | None = Field(None, ge=1)  # without a first token by then the next expert is asked as well
    patience_s: float = Field(30.0, gt=0)  # a stream without a message for so long has failed
    circuit: CircuitSettings = Field(default_factory=CircuitSettings)


class AdmissionSettings(_Section):
    """How many requests may be inside at once, and how many may wait."""

    max_in_flight: int = Field(1024, ge=1)
    max_queue_len: int = Field(1024, ge=0)
    queue_timeout_s: float = Field(10.0, gt=0)


class RouterSettings(_Section):
    """Which router decides."""

    artifact: Path | None = None  # None = the one that ships
    abstain_below: float | None = Field(None, ge=0, le=1)  # None = the artefact's calibrated threshold
    quality_cost: float = Field(0.0, ge=0, le=1)  # the knob of a request that sets none: 0 = quality alone
    ttft_target_ms: float | None = Field(None, ge=1)  # latency target of a request that brings none; None = none
    explore: float = Field(0.0, ge=0, le=1)  # share of free choices that are drawn at random, with their propensity
    explore_seed: int = 0
    reload_interval_s: float = Field(5.0, gt=0)  # how often the artefact's file is looked at


class CostSettings(_Section):
    """What money is counted by."""

    prices: Path | None = None  # None = the price list that ships
    fleet: dict[str, float] | None = None  # instances paid for, by type; None = one of each the catalogue names
    gateway_instance: str | None = None  # where the gateway runs, for the router's own cost; None = the fleet's first
    baseline_expert: str | None = None  # "saved" is against all on this expert; None = the catalogue's default


class FeedbackSettings(_Section):
    """Where feedback is kept."""

    path: Path | None = None  # None = feedback.sqlite3 in the user's state folder
    max_rows: int = Field(1_000_000, ge=1)  # beyond it the oldest go


class TracingSettings(_Section):
    """OpenTelemetry traces; needs the extra `moegate[otel]`."""

    enabled: bool = False
    endpoint: str = "http://127.0.0.1:4317"  # OTLP over gRPC; or over HTTP when it ends in /v1/traces
    sample: float = Field(1.0, ge=0, le=1)  # share of requests without a caller's decision
    content: bool = False  # prompts and answers in spans: only where they may be stored


class LogSettings(_Section):
    """JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="MOEGATE_", env_nested_delimiter="__")

    http: HttpSettings = Field(default_factory=HttpSettings)
    grpc: GrpcSettings = Field(default_factory=GrpcSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    access: AccessSettings = Field(default_factory=AccessSettings)
    experts: ExpertsSettings = Field(default_factory=ExpertsSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
    cost: CostSettings = Field(default_factory=CostSettings)
    feedback: FeedbackSettings = Field(default_factory=FeedbackSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    workers: int = Field(1, ge=1, le=64)  # gateway processes that share both ports
    timeout_s: float = Field(300.0, gt=0)  # deadline of a request that brings none, seconds
    shutdown_delay_s: float = Field(0.0, ge=0)  # from SIGTERM to closed doors: not ready, still answering, seconds
    shutdown_grace_s: float = Field(5.0, ge=0)  # how long streams may finish after that, seconds

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: command line, environment, YAML."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Read the settings once.

    Args:
        config: YAML file; `MOEGATE_CONFIG` when None.
        overrides: the command line's values, nested as the tree is.

    Raises:
        SettingsError: a file is missing or a value is wrong.
    """
    path = config or (Path(os.environ["MOEGATE_CONFIG"]) if os.environ.get("MOEGATE_CONFIG") else None)
    if path is not None and not path.is_file():
        raise SettingsError(f"configuration file {path} does not exist")

    class _FileSettings(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return _FileSettings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {where}: {first['msg']}") from None
