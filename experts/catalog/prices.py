"""The price list: what instances cost an hour and draw in watts, and what other providers ask for the same tokens.

Data with a date and sources (`deploy/prices.yaml`), read beside the catalogue, whose prices may name one of its
instances. `load_prices` is the only way in; what it returns never changes afterwards.
"""

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experts.catalog.yaml_file import YamlError, read_yaml

EnergySource = Literal["measured", "modelled"]
JOULES_PER_KWH = 3.6e6


class PricesError(Exception):
    """The price list cannot be used; the message names the file and the field."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UsdPerMillion(_Model):
    """A configured price: USD per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


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
