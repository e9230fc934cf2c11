"""What can be set, and its defaults: one frozen tree, read once at start.

Sources, strongest first: command line, environment (`MOEGATE_HTTP__PORT=8080`), the YAML file given by `--config` or
`MOEGATE_CONFIG`, and the defaults here (`deploy/gateway.yaml` lists them with comments). A relative path in the file
starts at the file's own folder. Parts get their settings as arguments; nobody reads the environment after start.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as BadVariable

from experts.catalog.yaml_file import Document, YamlError
from serve.settings.access import AccessSettings
from serve.settings.base import Sane, Section
from serve.settings.cache import CacheSettings
from serve.settings.doors import GrpcSettings, HttpSettings, TlsSettings
from serve.settings.encoder import EncoderSettings
from serve.settings.file import Mistake, one_line_each, read_file, tell, unknown_variables, unreadable_variables
from serve.settings.flywheel import FlywheelSettings
from serve.settings.guard import GuardSettings
from serve.settings.interactions import InteractionsSettings
from serve.settings.remote import RemoteSettings
from serve.settings.responses import ResponsesSettings
from serve.settings.retrieval import RetrievalSettings
from serve.settings.tool_selection import ToolSelectionSettings
from serve.settings.toolsets import ToolsetsSettings

_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})")


class SettingsError(Exception):
    """The configuration cannot be used; the message names the field, one line a mistake.

    Attributes:
        mistakes: what is wrong, one by one, where that is known.
    """

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)


class ExpertsSettings(Section):
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

    @field_validator("target")
    @classmethod
    def _host_and_port(cls, target: str) -> str:
        match = _HOST_PORT.fullmatch(target)
        if match is None or not 1 <= int(match[2]) <= 65535:
            raise ValueError(f"{target!r} is not HOST:PORT, such as 127.0.0.1:9000")
        return target


class CircuitSettings(Section):
    """When an expert is left alone, and for how long."""

    failures: int = Field(5, ge=1)  # in a row
    open_s: float = Field(5.0, gt=0)  # doubled each time a trial fails
    max_open_s: float = Field(60.0, gt=0)


class DispatchSettings(Section):
    """What is done when an expert fails or is slow."""

    retries: int = Field(1, ge=0, le=5)  # further attempts at the same expert, before the next one is asked
    retry_ratio: float = Field(0.2, ge=0)  # retries, fallbacks and hedges per request, in the long run
    retry_burst: float = Field(20.0, ge=1)  # and at once
    hedge_after_ms: float | None = Field(None, ge=1)  # without a first token by then the next expert is asked as well
    patience_s: float = Field(
        30.0, gt=0
    )  # a stream without a message for so long has failed; busy experts send one a second
    circuit: CircuitSettings = Field(default_factory=CircuitSettings)


class AdmissionSettings(Section):
    """How many requests may be inside at once, and how many may wait."""

    max_in_flight: int = Field(1024, ge=1)
    max_queue_len: int = Field(1024, ge=0)
    queue_timeout_s: float = Field(10.0, gt=0)


class RouterSettings(Section):
    """Which router decides."""

    kind: str = "learned"  # a name in `serve.routing.kinds.KINDS`: learned, keywords, examples or random
    artifact: Path | None = None  # of the learned router; None = the one that ships
    abstain_below: float | None = Field(None, ge=0, le=1)  # None = the artefact's calibrated threshold
    quality_cost: float = Field(0.0, ge=0, le=1)  # the knob of a request that sets none: 0 = quality alone
    ttft_target_ms: float | None = Field(None, ge=1)  # latency target of a request that brings none; None = none
    explore: float = Field(0.0, ge=0, le=1)  # share of free choices that are drawn at random, with their propensity
    explore_seed: int = 0
    reload_interval_s: float = Field(5.0, gt=0)  # how often the artefact's file is looked at


class CostSettings(Section):
    """What money is counted by."""

    prices: Path | None = None  # None = the price list that ships
    fleet: dict[str, NonNegativeFloat] | None = (
        None  # instances paid for, by type; None = one of each the catalogue names
    )
    gateway_instance: str | None = None  # where the gateway runs, for the router's own cost; None = the fleet's first
    baseline_expert: str | None = None  # "saved" is against all on this expert; None = the catalogue's default


class FeedbackSettings(Section):
    """Where feedback is kept."""

    path: Path | None = None  # None = feedback.sqlite3 in the user's state folder; workers share it
    max_rows: int = Field(1_000_000, ge=1)  # beyond it the oldest go
    # For gateways on several machines, in place of the file: a URL that fsspec knows, such as s3://bucket/ratings.
    target: str | None = Field(None, pattern=r"^[a-z0-9]+://.")


class TracingSettings(Section):
    """OpenTelemetry traces; needs the extra `moegate[otel]`."""

    enabled: bool = False
    # OTLP over gRPC; or over HTTP when it ends in /v1/traces.
    endpoint: str = Field("http://127.0.0.1:4317", pattern="^https?://.")
    sample: float = Field(1.0, ge=0, le=1)  # share of requests without a caller's decision
    content: bool = False  # prompts and answers in spans: only where they may be stored


class LogSettings(Section):
    """JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Sane, BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, env_prefix="MOEGATE_", env_nested_delimiter="__"
    )

    http: HttpSettings = Field(default_factory=HttpSettings)
    grpc: GrpcSettings = Field(default_factory=GrpcSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    access: AccessSettings = Field(default_factory=AccessSettings)
    experts: ExpertsSettings = Field(default_factory=ExpertsSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
    remote: RemoteSettings = Field(default_factory=RemoteSettings)
    guard: GuardSettings = Field(default_factory=GuardSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    tool_selection: ToolSelectionSettings = Field(default_factory=ToolSelectionSettings)
    toolsets: ToolsetsSettings = Field(default_factory=ToolsetsSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    cost: CostSettings = Field(default_factory=CostSettings)
    feedback: FeedbackSettings = Field(default_factory=FeedbackSettings)
    flywheel: FlywheelSettings = Field(default_factory=FlywheelSettings)
    interactions: InteractionsSettings = Field(default_factory=InteractionsSettings)
    responses: ResponsesSettings = Field(default_factory=ResponsesSettings)
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
        """Order the sources: command line, environment; `load_settings` adds the file."""
        return init_settings, env_settings


def load_settings(config: Path | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Read the settings once.

    Args:
        config: YAML file; `MOEGATE_CONFIG` when None.
        overrides: the command line's values, nested as the tree is.

    Raises:
        SettingsError: a file is missing or a value is wrong.
    """
    path = config or (Path(os.environ["MOEGATE_CONFIG"]) if os.environ.get("MOEGATE_CONFIG") else None)
    if path is not None and not path.exists():
        raise SettingsError(f"configuration file {path} does not exist")
    try:
        document = read_file(path, Settings) if path is not None else None
    except YamlError as error:
        raise SettingsError(str(error), [Mistake(str(error))]) from None
    mistakes = unknown_variables(Settings, os.environ) + unreadable_variables(Settings, os.environ)
    settings, more = _validated(document, overrides or {}, uses_environment=True)
    mistakes += [one for one in more if not any(one.source and one.source == other.source for other in mistakes)]
    if settings is None or mistakes:
        raise SettingsError(one_line_each(mistakes) or "an environment variable holds no JSON", mistakes)
    return settings


def check_file(path: Path) -> tuple[Settings | None, list[Mistake]]:
    """Read a file alone, without the environment; return the settings or all that is wrong with them."""
    try:
        return _validated(read_file(path, Settings), {}, uses_environment=False)
    except YamlError as error:
        return None, [Mistake(str(error))]


def _validated(
    document: Document | None, overrides: dict[str, Any], *, uses_environment: bool
) -> tuple[Settings | None, list[Mistake]]:
    """Put the sources together; return the settings, or what is wrong."""
    content = document.content if document is not None else {}

    class _FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = InitSettingsSource(settings_cls, init_kwargs=content)
            return (init_settings, env_settings, file) if uses_environment else (file,)

    try:
        return _FileSettings(**overrides), []
    except ValidationError as error:
        environment = os.environ if uses_environment else {}
        return None, tell(error, Settings, document, overrides, environment)
    except BadVariable:  # `unreadable_variables` says which
        return None, []
