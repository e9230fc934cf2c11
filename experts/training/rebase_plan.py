"""What re-training every expert on another base would take on Trainium: nodes, hours, USD and files, by arithmetic.

`python -m experts.rebase --base BASE --plan` prints it without hardware. Tokens are those of the recipes' samples, at
four characters each, since the base's own tokeniser may not be here. The throughput is a share of the instance's peak
(`MFU`), an assumption to replace by what a first run measures (`--tokens-per-s`): we had no Neuron hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from experts.catalog.spec import ExpertSpec
from experts.conversation.prompts import render_for
from experts.neuron.instances import Architecture, InstanceData
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample
from experts.training.trainium_job import INSTANCE

PEAK_FLOPS: Final = 3.04e15  # of a trn1.32xlarge in bfloat16: 16 chips of 190 TFLOPS (AWS's page of the instance)
MFU: Final = 0.10  # share of the peak that training reaches; assumed
FLOPS_A_PARAMETER: Final = 6  # a token: forward 2, gradients of activations 2, activations computed again 2
GRAPHS_H: Final = 0.5  # that compiling the graphs takes an expert, once; assumed
CHARACTERS_A_TOKEN: Final = 4.0


@dataclass(frozen=True, slots=True)
class Training:
    """One expert's training on Trainium."""

    expert: str
    samples: int
    tokens: int  # of all epochs
    nodes: int
    hours: float  # by the clock, graphs included
    usd: float
    adapter_mb: float
    command: str


@dataclass(frozen=True, slots=True)
class RebasePlan:
    """All of them, one after the other."""

    base: str
    parameters: int
    tokens_per_s: float  # of all nodes
    throughput: str  # where that comes from
    usd_per_node_hour: float
    price_source: str
    trainings: tuple[Training, ...]
    files: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Hours by the clock."""
        return sum(training.hours for training in self.trainings)

    @property
    def usd(self) -> float:
        """What all of it costs."""
        return sum(training.usd for training in self.trainings)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for scripts."""
        return asdict(self) | {"hours": self.hours, "usd": self.usd}


def make_plan(
    base: str,
    experts: Mapping[str, tuple[ExpertSpec, Sequence[Sample], Hyperparameters]],
    data: InstanceData,
    nodes: int,
    bucket: str,
    tokens_per_s: float | None = None,
) -> RebasePlan:
    """Work out a plan.

    Raises:
        InstancesError: the base's shape is not known.
    """
    model, price = data.architecture(base), data.instance(INSTANCE).usd_per_hour
    assumed = nodes * MFU * PEAK_FLOPS / (FLOPS_A_PARAMETER * model.parameters)
    pace = tokens_per_s or assumed
    trainings = [
        _training(spec, samples, tuning, model, nodes, pace, price, base, bucket)
        for spec, samples, tuning in experts.values()
    ]
    return RebasePlan(
        base=base,
        parameters=model.parameters,
        tokens_per_s=round(pace, 1),
        throughput="given" if tokens_per_s else f"{MFU:.0%} of {nodes} x {PEAK_FLOPS:.3g} FLOPS, assumed",
        usd_per_node_hour=price,
        price_source=f"on demand, {data.region}, {data.as_of}",
        trainings=tuple(trainings),
        files=_files(base, list(experts), bucket),
    )


def show_plan(plan: RebasePlan, console: Console) -> None:
    """Print a plan for people."""
    console.print(
        f"[bold]{plan.base}[/], {plan.parameters / 1e9:.2f} billion parameters, on {INSTANCE}", soft_wrap=True
    )
    console.print(
        f"{plan.tokens_per_s:,.0f} tokens/s ({plan.throughput}); USD {plan.usd_per_node_hour:.2f} a node-hour "
        f"({plan.price_source}); graphs {GRAPHS_H:g} h an expert, assumed. Nothing of this has run on Trainium.",
        soft_wrap=True,
    )
    table = Table("expert", "samples", "tokens", "nodes", "hours", "USD", "adapter MB", box=None)
    for one in plan.trainings:
        cells = (
            one.samples,
            f"{one.tokens:,}",
            one.nodes,
            f"{one.hours:.2f}",
            f"{one.usd:.2f}",
            f"{one.adapter_mb:.1f}",
        )
        table.add_row(one.expert, *map(str, cells))
    table.add_row("all", "", "", "", f"{plan.hours:.2f}", f"{plan.usd:.2f}", "")
    console.print(table)
    for title, lines in (("run", [one.command for one in plan.trainings]), ("files", plan.files)):
        console.print(f"{title}:")
        for line in lines:
            console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def characters(spec: ExpertSpec, samples: Sequence[Sample]) -> int:
    """Count the characters of prompts and answers, as they are rendered."""
    total = 0
    for sample in samples:
        turns = render_for(spec, sample.conversation)
        total += sum(len(turn.content) for turn in turns) + len(sample.answer)
    return total


def adapter_bytes(model: Architecture, rank: int) -> int:
    """Count an adapter's bytes in bfloat16: a pair of matrices for each of a layer's seven."""
    queries, keys = (model.head_size * heads for heads in (model.num_attention_heads, model.num_key_value_heads))
    width, inner = model.hidden_size, model.intermediate_size
    sides = 2 * (width + queries) + 2 * (width + keys) + 3 * (width + inner)
    return 2 * rank * sides * model.num_hidden_layers


def _training(
    spec: ExpertSpec,
    samples: Sequence[Sample],
    tuning: Hyperparameters,
    model: Architecture,
    nodes: int,
    pace: float,
    price: float,
    base: str,
    bucket: str,
) -> Training:
    tokens = math.ceil(tuning.epochs * characters(spec, samples) / CHARACTERS_A_TOKEN)
    hours = tokens / pace / 3600 + GRAPHS_H
    command = (
        f"python -m experts.training.trainium_job {spec.name} --nodes {nodes} --base {base} "
        f"--bucket {bucket}/{spec.name} --tokens {tokens} --tokens-per-s {pace:.0f} | kubectl apply -f -"
    )
    size_mb = adapter_bytes(model, tuning.rank) / 1e6
    return Training(spec.name, len(samples), tokens, nodes, hours, hours * nodes * price, size_mb, command)


def _files(base: str, experts: Sequence[str], bucket: str) -> tuple[str, ...]:
    """Name what comes out, in the order in which it does."""
    folder = base.rpartition("/")[2].lower()
    made = [f"{bucket}/{name}/adapter/ -> adapters/{folder}/{name}/ (safetensors, config, ledger)" for name in experts]
    served = [f"{bucket}/{name}/ (experts.compile {name} --target neuron: model/, manifest.json)" for name in experts]
    return (*made, *served, "deploy/experts.neuron.yaml: `adapter` and `engine_options.artifact` of each expert")
