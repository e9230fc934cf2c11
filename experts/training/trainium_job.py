"""A fine-tuning run on Trainium as a job: `python -m experts.training.trainium_job EXPERT --nodes N --bucket s3://...`.

Renders what `kubectl apply -f -` or `sbatch` (AWS ParallelCluster) takes: N x trn1.32xlarge, each running
deploy/training/train.sh. First it prints the ledger's estimate on stderr: USD before anything is bought. With `--plan
FILE` (as deploy/training/ninjallm.yaml) nodes, price, tokens and time are the plan's, whichever the scheduler. It only
renders; nothing of it has run on Trainium.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, text_with, write
from experts.neuron.instances import InstanceData, InstancesError, load_instances
from experts.training.recipe import RECIPES
from experts.training.training_cost import Ledger, PlanError, Prices, read_plan

INSTANCE = "trn1.32xlarge"
ACCOUNT = "moegate-training"  # may read and write the bucket (deploy/eksctl.yaml)
PATIENCE = 2  # times the estimate: a run that hangs costs no more than that
EFA_DEVICES = 8  # network cards of one trn1.32xlarge
HEADER = "# Made by `python -m experts.training.trainium_job`."
SCRIPT = "/opt/moegate/training/train.sh"  # where the training image keeps deploy/training/train.sh


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    expert: str
    nodes: int
    image: str  # deploy/Dockerfile.expert-neuron with the training extra; never a moving tag
    bucket: str  # s3://..., for data, checkpoints, compiled graphs, the adapter
    usd_per_hour: float  # of one instance
    price_source: str
    base: str = ""  # to train on; empty: the catalogue's
    most_s: int | None = None  # then the scheduler ends it; None: it never does

    @property
    def name(self) -> str:
        """The job's name, for the scheduler."""
        return f"moegate-finetune-{self.expert}"

    def environment(self) -> dict[str, str]:
        """Return what train.sh needs, but for the node's own rank."""
        return {
            "EXPERT": self.expert,
            "BUCKET": self.bucket,
            "NODES": str(self.nodes),
            "USD_PER_HOUR": f"{self.usd_per_hour:g}",
            "PRICE_SOURCE": self.price_source,
            **({"BASE": self.base} if self.base else {}),
        }


def kubernetes(job: Job) -> list[dict[str, Any]]:
    """Make an indexed Job, one pod a node, the headless Service by which they find the first, and their account."""
    pod = {
        "subdomain": job.name,
        "restartPolicy": "Never",
        "serviceAccountName": ACCOUNT,
        "nodeSelector": {"node.kubernetes.io/instance-type": INSTANCE},
        "tolerations": [{"key": "aws.amazon.com/neuron", "operator": "Exists", "effect": "NoSchedule"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job)],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Ti"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}},
        ],
    }
    labels = {"app.kubernetes.io/name": job.name, "app.kubernetes.io/component": "training"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": job.name},
            "spec": {"clusterIP": "None", "selector": labels, "ports": [{"name": "torchrun", "port": 29500}]},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job.name, "labels": labels},
            "spec": {
                "completionMode": "Indexed",
                "completions": job.nodes,
                "parallelism": job.nodes,
                "backoffLimit": 3 * job.nodes,
                **({"activeDeadlineSeconds": job.most_s} if job.most_s else {}),
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def slurm(job: Job) -> str:
    """Make an sbatch script; every node of the allocation runs train.sh."""
    limit = f"#SBATCH --time={ceil(job.most_s / 60)}\n" if job.most_s else ""  # minutes
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in job.environment().items())
    return f"""#!/usr/bin/env bash
{HEADER}
#SBATCH --job-name={job.name}
#SBATCH --nodes={job.nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --output=%x-%j-%t.log
{limit}set -euo pipefail
{exports}
export RUN_DIR=/fsx/moegate/$SLURM_JOB_NAME NEURON_COMPILE_CACHE=/fsx/moegate/neuron-cache
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
export MASTER_ADDR
srun bash -c 'NODE_RANK=$SLURM_NODEID exec deploy/training/train.sh'
"""


def planned(job: Job, plan: Ledger) -> Ledger:
    """Return a plan's own ledger, for this job's nodes and price: the plan's, unless the command line says others."""
    prices = Prices(job.usd_per_hour, job.price_source, job.nodes)
    return replace(plan, prices=prices)


def estimate(job: Job, tokens: int, tokens_per_s: float, source: str) -> Ledger:
    """Price a run of so many tokens at a throughput of all nodes together that somebody measured or published."""
    prices = Prices(job.usd_per_hour, job.price_source, job.nodes)
    run = f"{job.expert} on {job.nodes} x {INSTANCE}, {tokens_per_s:g} tokens/s ({source})"
    return Ledger(run, tokens, 0.0, tokens / tokens_per_s, 0.0, prices, basis="estimated")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the estimate and the job; return 1 when the command line asks for what cannot be."""
    options = _parse(arguments)
    try:
        plan = read_plan(options.plans) if options.plans else None
        job = _job(options, load_instances(), plan)
        if options.out:
            claim(options.out, text_with(HEADER))
    except (InstancesError, NotOurs, PlanError) as error:
        complain(error)
        return 1
    ledger = _ledger(job, plan, options)
    if ledger is not None:
        Console(stderr=True).print(ledger.table())
        job = replace(job, most_s=ceil(PATIENCE * ledger.seconds))
    else:
        print(
            "no estimate: say --plan, or --tokens and --tokens-per-s (whose, by --throughput-source)", file=sys.stderr
        )
    manifests = f"{HEADER}\n{yaml.safe_dump_all(kubernetes(job), sort_keys=False)}"
    text = slurm(job) if options.scheduler == "slurm" else manifests
    if options.out:
        write(options.out, text)
    else:
        print(text, end="")
    return 0


def _ledger(job: Job, plan: Ledger | None, options: argparse.Namespace) -> Ledger | None:
    """Price the run before it is bought; None where too little is known."""
    if options.tokens and options.tokens_per_s:
        return estimate(job, options.tokens, options.tokens_per_s, options.throughput_source)
    return planned(job, plan) if plan is not None else None


def _job(options: argparse.Namespace, data: InstanceData, plan: Ledger | None) -> Job:
    nodes = options.nodes if options.nodes is not None else plan.prices.instances if plan is not None else 0
    if nodes < 1 or ":" not in options.image or options.image.endswith(":latest"):
        raise InstancesError("say --nodes 1 or more, and an --image with a tag that does not move")
    if not options.bucket.startswith("s3://"):
        raise InstancesError("--bucket is an s3:// address")
    price, source = data.instance(INSTANCE).usd_per_hour, f"on demand, {data.region}, {data.as_of}"
    if plan is not None:
        price, source = plan.prices.usd_per_instance_hour, plan.prices.source
    price, source = options.usd_per_hour or price, options.price_source or source
    return Job(options.expert, nodes, options.image, options.bucket.rstrip("/"), price, source, options.base)


def _container(job: Job) -> dict[str, Any]:
    rank = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
    given = [{"name": name, "value": value} for name, value in job.environment().items()]
    resources = {
        "cpu": "120",
        "memory": "460Gi",
        "aws.amazon.com/neuroncore": "32",
        "vpc.amazonaws.com/efa": str(EFA_DEVICES),
    }
    return {
        "name": "train",
        "image": job.image,
        "command": ["bash", SCRIPT],
        "env": [
            *given,
            {
                "name": "HF_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": "moegate-hub", "key": "token", "optional": True}},
            },
            {"name": "NODE_RANK", "valueFrom": rank},
            {"name": "MASTER_ADDR", "value": f"{job.name}-0.{job.name}"},
        ],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "shm", "mountPath": "/dev/shm"}],
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experts.training.trainium_job", description="A Trainium run as a job."
    )
    parser.add_argument("expert", choices=sorted(RECIPES))
    parser.add_argument(
        "--plan", dest="plans", type=Path, help="nodes, price, tokens and time, as deploy/training/ninjallm.yaml"
    )
    parser.add_argument("--nodes", type=int, help=f"instances, {INSTANCE} each (default: the plan's)")
    parser.add_argument("--scheduler", choices=["kubernetes", "slurm"], default="kubernetes")
    parser.add_argument("--image", default="moegate/expert-neuron-train:0.1.0")
    parser.add_argument("--bucket", required=True, help="s3://...: data/, checkpoints, compiled graphs, the adapter")
    parser.add_argument("--base", default="", help="train on it instead of the catalogue's base")
    parser.add_argument("--usd-per-hour", type=float, help="of an instance (default: deploy/instances.yaml's)")
    parser.add_argument("--price-source", help="where that price comes from")
    parser.add_argument("--tokens", type=int, help="of all epochs, for the estimate")
    parser.add_argument("--tokens-per-s", type=float, help="of all nodes together, for the estimate")
    parser.add_argument("--throughput-source", default="not given", help="who measured or published it")
    parser.add_argument("--out", type=Path, help="write the job there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
