"""Prices: what an expert's tokens cost, what instances cost an hour and draw, what others ask for the same tokens.

The list is data with a date and sources (`deploy/prices.yaml`), read beside the catalogue, whose prices may name one of
its instances. `load_prices` is the only way in; what it returns never changes afterwards.
"""

from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experts.catalog.yaml_file import YamlError, read_yaml

EnergySource = Literal["measured", "modelled"]
PriceBasis = Literal["configured", "measured", "occupancy"]
JOULES_PER_KWH = 3.6e6


class PricesError(Exception):
    """The price list cannot be used; the message names the file and the field."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UsdPerMillion(_Model):
    """A configured price: USD per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class Price(_Model):
    """What tokens cost: configured outright, or a machine's hourly price spread over what it does.

    With an instance (`instance`, a name out of the price list, or `instance_usd_per_hour`) and its throughput, `basis`
    says how a request is charged: `measured`, by its tokens; `occupancy`, by the seconds it held a slot of the batch.
    The throughput then still tells the router what to expect.
    """

    usd_per_million: UsdPerMillion | None = None
    instance: str | None = None
    share: float = Field(default=1.0, gt=0, le=1)  # of the instance that one replica has for itself
    instance_usd_per_hour: float | None = Field(default=None, ge=0)
    prompt_tokens_per_s: float | None = Field(default=None, gt=0)
    completion_tokens_per_s: float | None = Field(default=None, gt=0)
    basis: PriceBasis = "measured"

    @model_validator(mode="before")
    @classmethod
    def _configured(cls, value: object) -> object:
        if isinstance(value, dict) and "usd_per_million" in value:
            return {"basis": "configured", **value}
        return value

    @model_validator(mode="after")
    def _exactly_one_way(self) -> Self:
        measured = (self.instance_usd_per_hour, self.prompt_tokens_per_s, self.completion_tokens_per_s)
        given = [value is not None for value in measured]
        if self.usd_per_million is not None and (any(given) or self.instance is not None):
            raise ValueError("give usd_per_million or an instance's price and throughput, not both")
        if self.usd_per_million is None and not all(given):
            raise ValueError(
                "give usd_per_million, or all of instance_usd_per_hour, prompt_tokens_per_s, completion_tokens_per_s"
            )
        if (self.usd_per_million is not None) != (self.basis == "configured"):
            raise ValueError("the basis of usd_per_million is configured, an instance's is measured or occupancy")
        return self

    @property
    def usd_per_prompt_token(self) -> float:
        """USD for one token of the prompt."""
        if self.usd_per_million is not None:
            return self.usd_per_million.prompt / 1e6
        return self._usd_per_token(self.prompt_tokens_per_s)

    @property
    def usd_per_completion_token(self) -> float:
        """USD for one generated token."""
        if self.usd_per_million is not None:
            return self.usd_per_million.completion / 1e6
        return self._usd_per_token(self.completion_tokens_per_s)

    @property
    def usd_per_replica_second(self) -> float:
        """USD for one second of one replica; 0 where tokens have a configured price."""
        return (self.instance_usd_per_hour or 0.0) * self.share / 3600

    def _usd_per_token(self, tokens_per_s: float | None) -> float:
        return self.usd_per_replica_second / (tokens_per_s or 1.0)


class Instance(_Model):
    """One type of machine; `watts` is a measured draw of the whole of it, where there is one."""

    usd_per_hour: float = Field(ge=0)
    cores: int = Field(default=0, ge=0)  # NeuronCores
    accelerators: int = Field(default=0, ge=0)
    vcpus: int = Field(ge=1)
    host_gib: float = Field(gt=0)
    watts: float | None = Field(default=None, gt=0)


class Baseline(_Model):
    """What somebody else asks for the same tokens."""

    usd_per_million: UsdPerMillion
    source: str = Field(min_length=1)


class Power(_Model):
    """The model of a draw that nobody measured: watts per vCPU in use, times the data centre's overhead (PUE)."""

    watts_per_vcpu: float = Field(gt=0)
    overhead: float = Field(default=1.0, ge=1)
    source: str = Field(min_length=1)


class Grid(_Model):
    """What a kilowatt-hour emits, in grams of CO2 equivalent."""

    gco2e_per_kwh: float = Field(ge=0)
    source: str = Field(min_length=1)


class PriceList(_Model):
    """All of it."""

    as_of: date
    region: str
    source: str = Field(min_length=1)
    instances: dict[str, Instance]
    baselines: dict[str, Baseline] = {}
    power: Power
    grid: Grid

    def watts(self, instance: str) -> tuple[float, EnergySource]:
        """The draw of an instance in use, in watts with the data centre's overhead, and where the figure is from."""
        spec = self.instances[instance]
        if spec.watts is not None:
            return spec.watts * self.power.overhead, "measured"
        return spec.vcpus * self.power.watts_per_vcpu * self.power.overhead, "modelled"


def default_prices_path() -> Path:
    """Return the checkout's deploy/prices.yaml, or the copy packaged in a wheel when there is no checkout."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "deploy" / "prices.yaml"
    return checkout if checkout.is_file() else package / "_deploy" / "prices.yaml"


def load_prices(path: Path | None = None) -> PriceList:
    """Read and check a price list.

    Raises:
        PricesError: the file is missing, is not YAML, or a field is wrong.
    """
    path = path or default_prices_path()
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise PricesError(str(error)) from None
    try:
        return PriceList.model_validate(document.content)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False)
        raise PricesError("\n".join(document.complaint(mistake, PriceList) for mistake in mistakes)) from None
