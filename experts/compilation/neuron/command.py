"""`python -m experts.compile EXPERT --target neuron`: from a catalogue entry to a plan, or to an artefact.

`experts.compile` parses the command line and calls this. Shapes come from the entry; flags override it, so that an
entry that still runs on CPU can be planned.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from experts.artifacts.bases import resolve_base
from experts.artifacts.store import default_store
from experts.artifacts.weights import local_adapter
from experts.catalog.remote import Address, RemoteError, is_remote, parse_address
from experts.catalog.spec import ExpertSpec
from experts.compilation.neuron.export import CannotExport, compile_expert
from experts.compilation.neuron.merged import CannotMerge, merge_into_folder
from experts.compilation.neuron.store import StoreUnavailable, claim_artifact
from experts.neuron.instances import InstanceData, InstancesError, load_instances
from experts.neuron.plan import Plan, add_shape_arguments, make_plan, show_plan
from experts.neuron.shapes import CORES, NeuronOptions, Shapes

FAILURES = (InstancesError, CannotExport, CannotMerge, StoreUnavailable, RemoteError)


@dataclass(frozen=True, slots=True)
class Job:
    """One expert to plan or to compile."""

    spec: ExpertSpec
    plan: Plan


def add_neuron_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `--target neuron`."""
    group = parser.add_argument_group("with --target neuron")
    group.add_argument("--plan", action="store_true", help="print shapes, memory, calls and fitting instances; no SDK")
    group.add_argument("--json", action="store_true", help="with --plan: one JSON object an expert")
    group.add_argument("--merged", type=Path, help="the merged Hugging Face folder to compile")
    group.add_argument("--out", help="where the artefact goes: a path or s3:// (default: the entry's artifact)")
    add_shape_arguments(parser)


def run(specs: Sequence[ExpertSpec], options: argparse.Namespace, console: Console) -> int:
    """Plan or compile each expert; return 1 when one does not fit its instance.

    Raises:
        InstancesError, CannotExport, StoreUnavailable: see there.
    """
    data = load_instances()
    if options.instance is None:
        raise InstancesError(f"say --instance: one of {', '.join(data.instances)}")
    jobs = [Job(spec, _plan(spec, options, data)) for spec in specs]
    for job in jobs:
        if options.json:
            print(json.dumps({"expert": job.spec.name} | job.plan.as_dict()))
        elif options.plan or not job.plan.chosen.is_fit:
            show_plan(job.plan, console)
    if not all(job.plan.chosen.is_fit for job in jobs):
        return 1
    if not options.plan:
        _compile_all(jobs, options, data)
    return 0


def shapes_for(spec: ExpertSpec, options: argparse.Namespace, data: InstanceData) -> Shapes:
    """Read shapes off the entry, with the command line's on top."""
    length = options.sequence_length or spec.context_window
    bucket = options.prompt_bucket or (spec.max_prompt_tokens if options.sequence_length is None else None) or length
    cores = options.cores or int(spec.resources.custom.get(CORES, data.instance(options.instance).cores))
    return Shapes(options.batch_size or max(2, spec.max_batch_size), length, bucket, cores)


def _plan(spec: ExpertSpec, options: argparse.Namespace, data: InstanceData) -> Plan:
    base = str(options.merged) if options.merged else spec.base
    return make_plan(spec.name, base, options.instance, shapes_for(spec, options, data), data)


def _compile_all(jobs: Sequence[Job], options: argparse.Namespace, data: InstanceData) -> None:
    for job in jobs:
        claim_artifact(_target(job, options))  # all of them before the first, which takes an hour
    for job in jobs:
        _compile(job, options, data)


def _target(job: Job, options: argparse.Namespace) -> str:
    out: str | None = options.out or (
        NeuronOptions.model_validate(job.spec.engine_options).artifact if job.spec.engine == "neuron" else None
    )
    if out is None:
        raise CannotExport(f"expert {job.spec.name!r}: say --out, or give the entry engine_options.artifact")
    return parse_address(out).url if is_remote(out) else out  # a pin is of what was there before


def _compile(job: Job, options: argparse.Namespace, data: InstanceData) -> None:
    out = _target(job, options)
    family = data.instance(options.instance).family
    with tempfile.TemporaryDirectory() as scratch:
        merged = options.merged or _merged_folder(job.spec, Path(scratch))
        manifest = compile_expert(job.spec.name, job.spec.base, merged, job.plan.shapes, family, out)
    pinned = Address(out, manifest.model_sha256) if is_remote(out) else out
    print(f"{job.spec.name}\tneuron\t{manifest.model_sha256}\t{pinned}")


def _merged_folder(spec: ExpertSpec, scratch: Path) -> Path:
    """Find the base's folder; with an adapter, merge it into a copy."""
    base = resolve_base(spec.base, default_store()).path
    if not base.is_dir():
        raise CannotExport(
            f"expert {spec.name!r}: compiling needs a merged Hugging Face folder, and its base is a file: say --merged"
        )
    if spec.adapter is None:
        return base
    return merge_into_folder(base, local_adapter(spec.adapter, default_store()), scratch / "merged")
