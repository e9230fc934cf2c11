"""A compilation on paper: shapes, memory, the exact calls, the instances that fit. Works on any machine.

`python -m experts.neuron.plan BASE --instance inf2.8xlarge` plans a base, `python -m experts.compile EXPERT --target
neuron --plan` an expert of the catalogue. The exit status is 1 if the instance cannot hold it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from experts.commands.messages import complain
from experts.neuron.instances import GIB, Architecture, InstanceData, InstancesError, load_instances
from experts.neuron.memory import RESERVED, Fit, Memory, fit, memory_per_core
from experts.neuron.shapes import Shapes


@dataclass(frozen=True, slots=True)
class Plan:
    """What compiling a base for an instance would mean."""

    title: str
    base: str
    instance: str
    model: Architecture
    shapes: Shapes
    memory: Memory
    fits: tuple[Fit, ...]  # of every instance of the data, in its order
    usd_per_hour: float  # of one replica: its cores' share of the instance
    as_of: str

    @property
    def chosen(self) -> Fit:
        """The verdict on the instance that was asked for."""
        return next(verdict for verdict in self.fits if verdict.instance == self.instance)

    @property
    def call(self) -> str:
        """The calls that the compilation makes, as Python."""
        shapes = self.shapes
        bucket = (
            f"config.max_context_length = {shapes.prompt_bucket}\n"
            if shapes.prompt_bucket != shapes.sequence_length
            else ""
        )
        return (
            "config = NeuronModelForCausalLM.get_neuron_config(\n"
            f"    MERGED, instance_type={self.instance.split('.')[0]!r}, batch_size={shapes.batch_size}, "
            f"sequence_length={shapes.sequence_length}, tensor_parallel_size={shapes.cores}\n)\n"
            f"{bucket}"
            "model = NeuronModelForCausalLM.export(MERGED, neuron_config=config, load_weights=False)\n"
            'model.save_pretrained(OUT + "/model")'
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for scripts."""
        return {
            "base": self.base,
            "instance": self.instance,
            "fits": self.chosen.is_fit,
            "problems": list(self.chosen.problems),
            "shapes": asdict(self.shapes),
            "parameters": self.model.parameters,
            "gib_per_core": {name: round(size / GIB, 3) for name, size in asdict(self.memory).items()},
            "replicas_per_instance": {f.instance: f.replicas for f in self.fits if f.is_fit},
            "usd_per_hour_per_replica": round(self.usd_per_hour, 4),
            "prices_as_of": self.as_of,
        }


def make_plan(title: str, base: str, instance: str, shapes: Shapes, data: InstanceData) -> Plan:
    """Work out a plan.

    Raises:
        InstancesError: the instance or the base's shape is unknown.
    """
    model, chosen = data.architecture(base), data.instance(instance)
    return Plan(
        title=title,
        base=base,
        instance=instance,
        model=model,
        shapes=shapes,
        memory=memory_per_core(model, shapes),
        fits=tuple(fit(name, each, model, shapes) for name, each in data.instances.items()),
        usd_per_hour=chosen.usd_per_hour * min(1.0, shapes.cores / chosen.cores),
        as_of=data.as_of.isoformat(),
    )


def show_plan(plan: Plan, console: Console) -> None:
    """Print a plan for people."""
    shapes, memory = plan.shapes, plan.memory
    console.print(f"[bold]{plan.title}[/]: {plan.base}, {plan.model.parameters / 1e9:.2f} billion parameters")
    console.print(
        f"shapes: batch {shapes.batch_size}, sequence {shapes.sequence_length}, prompt bucket {shapes.prompt_bucket}, "
        f"{shapes.cores} cores, {shapes.dtype}"
    )
    console.print(
        f"a core: weights {memory.weights / GIB:.2f} + cache {memory.cache / GIB:.2f} + scores "
        f"{memory.scores / GIB:.2f} = {memory.total / GIB:.2f} GiB; {RESERVED:.0%} of HBM is left for the runtime"
    )
    table = Table("instance", "fits", "replicas", "why not", box=None)
    for verdict in plan.fits:
        mark = ">" if verdict.instance == plan.instance else " "
        replicas = str(verdict.replicas) if verdict.is_fit else ""
        table.add_row(
            f"{mark} {verdict.instance}", "yes" if verdict.is_fit else "no", replicas, "; ".join(verdict.problems)
        )
    console.print(table)
    console.print(f"{plan.usd_per_hour:.3f} USD/h a replica on {plan.instance} (on demand, {plan.as_of})")
    console.print(plan.call, highlight=False, soft_wrap=True)


def add_shape_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that set shapes by hand."""
    parser.add_argument("--instance", help="the instance to compile for, as in deploy/instances.yaml")
    parser.add_argument("--batch-size", type=_count, help="sequences decoded at once")
    parser.add_argument("--sequence-length", type=_count, help="tokens of a sequence, prompt and answer")
    parser.add_argument("--prompt-bucket", type=_count, help="tokens a prompt is padded to (default: sequence length)")
    parser.add_argument("--cores", type=_count, help="tensor parallel degree (default: all of the instance's)")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan a base named on the command line; return 1 when it does not fit."""
    parser = argparse.ArgumentParser(prog="python -m experts.neuron.plan", description="Plan a Neuron compilation.")
    parser.add_argument("base", help="hf:ORGANISATION/MODEL, or a folder with config.json")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of text")
    add_shape_arguments(parser)
    options = parser.parse_args(arguments)
    console = Console()
    try:
        data = load_instances()
        if options.instance is None:
            raise InstancesError(f"say --instance: one of {', '.join(data.instances)}")
        length = options.sequence_length or 4096
        shapes = Shapes(
            options.batch_size or 4,
            length,
            options.prompt_bucket or length,
            options.cores or data.instance(options.instance).cores,
        )
        plan = make_plan("plan", options.base, options.instance, shapes, data)
    except InstancesError as error:
        complain(error)
        return 2
    if options.json:
        print(json.dumps(plan.as_dict()))
    else:
        show_plan(plan, console)
    return 0 if plan.chosen.is_fit else 1


if __name__ == "__main__":
    sys.exit(main())
