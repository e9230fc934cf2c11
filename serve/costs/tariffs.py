"""What a piece of work costs, in whole picodollars, so that the log and the counters have the same sum.

`tariffs` makes a `Tariff` for each expert from the catalogue's price, once, at start. The record of a request uses it.
If the price is a machine's, the machine time also gives the energy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from experts.catalog.prices import PriceBasis, PriceList, UsdPerMillion
from experts.catalog.spec import Catalog, ExpertSpec

PICO: Final = 10**12  # picodollars in a USD


@dataclass(frozen=True, slots=True)
class Work:
    """What was done: tokens, and the seconds for which a slot of the batch was held."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    slot_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tariff:
    """One expert's prices in picodollars, and their basis.

    Attributes:
        expert: whose.
        basis: how a request is charged.
        prompt: picodollars a prompt token.
        completion: picodollars a generated token.
        slot_second: picodollars a second of one slot of the batch.
        joules_per_usd: the machine's draw over its price per second; None without a machine.
        energy_source: `measured` or `modelled` draw.
    """

    expert: str
    basis: PriceBasis
    prompt: float
    completion: float
    slot_second: float = 0.0
    joules_per_usd: float | None = None
    energy_source: str = "modelled"

    def pico_usd(self, work: Work) -> int:
        """Price a piece of work."""
        if self.basis == "occupancy":
            return round(work.slot_s * self.slot_second)
        return round(work.prompt_tokens * self.prompt + work.completion_tokens * self.completion)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The prices of one moment: a request that begins under them is charged by them.

    Attributes:
        tariffs: by expert.
        baselines: by name; what the same tokens would cost there.
    """

    tariffs: Mapping[str, Tariff]
    baselines: Mapping[str, Tariff]

    def price(self, expert: str, work: Work) -> int:
        """Say what a piece of work costs, in picodollars; 0 for an expert that is in no catalogue."""
        tariff = self.tariffs.get(expert)
        return 0 if tariff is None else tariff.pico_usd(work)


def tariffs(catalog: Catalog, prices: PriceList) -> dict[str, Tariff]:
    """Every expert's tariff, by name."""
    return {expert.name: _tariff(expert, prices) for expert in catalog.experts}


def _tariff(expert: ExpertSpec, prices: PriceList) -> Tariff:
    price = expert.price
    joules, source = None, "modelled"
    spec = prices.instances.get(price.instance or "")
    if price.instance is not None and spec is not None and spec.usd_per_hour > 0:
        watts, source = prices.watts(price.instance)
        joules = watts * 3600 / spec.usd_per_hour
    return Tariff(
        expert=expert.name,
        basis=price.basis,
        prompt=price.usd_per_prompt_token * PICO,
        completion=price.usd_per_completion_token * PICO,
        slot_second=price.usd_per_replica_second * PICO / expert.max_batch_size,
        joules_per_usd=joules,
        energy_source=source,
    )


def baseline_tariffs(prices: PriceList, expert: Tariff) -> Mapping[str, Tariff]:
    """What the same tokens would cost: all on one expert of ours, and on each model of the price list."""
    others = {name: _listed(name, entry.usd_per_million) for name, entry in prices.baselines.items()}
    return {expert.expert: expert} | others


def _listed(name: str, price: UsdPerMillion) -> Tariff:
    return Tariff(name, "configured", price.prompt * PICO / 1e6, price.completion * PICO / 1e6)


def usd(pico: int) -> float:
    """Picodollars as USD."""
    return pico / PICO
