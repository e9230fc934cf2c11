"""What a training run cost: tokens, where the time went, and USD at a stated price.

`experts.finetune` ends with such a table. `python -m experts.training.training_cost FILE...` reads plans (YAML, such as
deploy/training/ninjallm.yaml) and prints the same table before anything is bought, or for a run that others published.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experts.catalog.yaml_file import YamlError, read_yaml
from experts.commands.messages import complain


@dataclass(frozen=True, slots=True)
class Prices:
    """What the machines cost: USD per hour of one instance, where that figure comes from, and how many there are."""

    usd_per_instance_hour: float
    source: str
    instances: int = 1


@dataclass(frozen=True, slots=True)
class Ledger:
    """One run. Times are wall-clock seconds; `tokens` counts prompt and answer tokens over all epochs."""

    run: str
    tokens: int
    load_s: float
    train_s: float
    save_s: float
    prices: Prices
    basis: str = "measured"  # or published, estimated

    @property
    def seconds(self) -> float:
        """Wall-clock seconds in all."""
        return self.load_s + self.train_s + self.save_s

    @property
    def instance_hours(self) -> float:
        """Hours paid for, over all instances."""
        return self.seconds / 3600 * self.prices.instances

    @property
    def usd(self) -> float:
        """What it cost."""
        return self.instance_hours * self.prices.usd_per_instance_hour

    @property
    def tokens_per_s(self) -> float:
        """Tokens trained on per second of training."""
        return self.tokens / self.train_s if self.train_s else 0.0

    def affordable_hours(self, usd: float) -> float:
        """Return the wall-clock hours that a budget pays for on these instances."""
        return usd / (self.prices.usd_per_instance_hour * self.prices.instances)

    def to_json(self) -> str:
        """Return all of it, the sums included."""
        sums = {"seconds": self.seconds, "instance_hours": self.instance_hours, "usd": self.usd}
        return json.dumps({**asdict(self), **sums, "tokens_per_s": self.tokens_per_s}, indent=1)

    def table(self) -> Table:
        """Return what people look at."""
        table = Table("", "", title=f"cost ledger: {self.run} ({self.basis})", show_header=False)
        prices = self.prices
        table.add_row("tokens", f"{self.tokens:,} ({self.tokens_per_s:,.0f} a second)")
        table.add_row("load / train / save", f"{self.load_s:.0f} / {self.train_s:.0f} / {self.save_s:.0f} s")
        table.add_row("instance-hours", f"{self.instance_hours:.3f} ({prices.instances} at once)")
        table.add_row("price", f"USD {prices.usd_per_instance_hour:.4f} an instance-hour ({prices.source})")
        table.add_row("cost", f"USD {self.usd:,.4f}")
        return table


class PlanError(ValueError):
    """A plan cannot be read; the message names the file and what is wrong."""


def read_plan(path: Path) -> Ledger:
    """Read a plan: the fields of a ledger, with `hours` in place of the three times if they are not known apart.

    Raises:
        PlanError: the file is missing, or holds something else.
    """
    try:
        content = read_yaml(path).content
        prices = Prices(**content.pop("prices"))
        hours = content.pop("hours", None)
        if hours is not None:
            content |= {"load_s": 0.0, "train_s": hours * 3600, "save_s": 0.0}
        return Ledger(prices=prices, **content)
    except YamlError as error:
        raise PlanError(str(error)) from None
    except KeyError as error:
        raise PlanError(f"{path}: {error.args[0]} is missing") from None
    except (TypeError, AttributeError):
        fields = "run, tokens, hours or load_s, train_s, save_s, and prices"
        raise PlanError(f"{path}: not a plan of a training run: its fields are {fields}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ledger of each plan; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experts.training.training_cost", description="Price training plans."
    )
    parser.add_argument("plans", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--budget", type=float, help="say how many hours this many USD pay for")
    options = parser.parse_args(arguments)
    console = Console()
    for path in options.plans:
        try:
            ledger = read_plan(path)
        except PlanError as error:
            complain(error)
            return 1
        console.print(ledger.table())
        if options.budget is not None:
            console.print(f"USD {options.budget:,.0f} pay for {ledger.affordable_hours(options.budget):.2f} h")
    return 0


if __name__ == "__main__":
    sys.exit(main())
