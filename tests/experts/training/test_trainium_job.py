"""Training jobs: rendered, valid for their scheduler, priced before they run."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from experts.training.training_cost import read_plan
from experts.training.trainium_job import Job, estimate, main

ROOT = Path(__file__).resolve().parents[3]
ASK = ["coder", "--nodes", "4", "--bucket", "s3://bucket/runs/coder/"]


def rendered(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main([*ASK, *more]) == 0
    return capsys.readouterr().out


def test_the_kubernetes_job_is_valid_and_takes_whole_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    account, service, job = yaml.safe_load_all(rendered(capsys))
    assert account["metadata"]["name"] == job["spec"]["template"]["spec"]["serviceAccountName"]
    for document in (account, service, job):
        kubernetes_validate.validate(document, "1.34", strict=True)
    spec: dict[str, Any] = job["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (4, 4, "Indexed")
    assert container["resources"]["limits"]["aws.amazon.com/neuroncore"] == "32"
    assert container["resources"]["limits"] == container["resources"]["requests"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert given["MASTER_ADDR"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_slurm_script_parses_and_gives_the_node_script_all_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    script = rendered(capsys, "--scheduler", "slurm", "--price-source", "it's ours; $(not run)")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "#SBATCH --nodes=4" in script
    assert "export BUCKET=s3://bucket/runs/coder\n" in script
    node = (ROOT / "deploy" / "training" / "train.sh").read_text()
    for name in ("EXPERT", "BUCKET", "NODES", "NODE_RANK", "MASTER_ADDR", "USD_PER_HOUR", "PRICE_SOURCE"):
        assert f"{name}" in script
        assert f"${name}" in node or f'"${name}' in node


def run_script(tmp_path: Path, **more: str) -> list[str]:
    """Run the node's script with every tool replaced by one that writes down its call; return the calls."""
    for tool in ("aws", "torchrun", "neuron_parallel_compile"):
        (tmp_path / tool).write_text(f'#!/bin/sh\nprintf "%s\\n" "{tool} $*" >> {tmp_path}/calls\n')
        (tmp_path / tool).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "EXPERT": "coder", "BUCKET": "s3://b/c", "NODES": "2", "NODE_RANK": "0",
        "MASTER_ADDR": "first", "USD_PER_HOUR": "21.5", "PRICE_SOURCE": "on demand", "RUN_DIR": f"{tmp_path}/run",
        "NEURON_COMPILE_CACHE": f"{tmp_path}/cache", **more,
    }  # fmt: skip
    script = ROOT / "deploy" / "training" / "train.sh"
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True)
    return (tmp_path / "calls").read_text().splitlines()


def test_the_node_script_runs_its_steps_in_order(tmp_path: Path) -> None:
    """Data first, then compile, train, checkpoints to S3, the adapter last."""
    calls = run_script(tmp_path)
    kinds = [call.split()[0] for call in calls]
    assert kinds == ["aws", "aws", "aws", "neuron_parallel_compile", "aws", "torchrun", "aws", "aws"]
    assert calls[3].removeprefix("neuron_parallel_compile ") == calls[5]
    assert "--node_rank 0" in calls[5]
    assert "-m experts.finetune coder --method sft --device neuron" in calls[5]
    assert "--base" not in calls[5] and "--data" not in calls[5]
    assert calls[-1].startswith(f"aws s3 sync {tmp_path}/run/out s3://b/c/adapter")


def test_the_node_script_takes_another_base_and_the_buckets_data(tmp_path: Path) -> None:
    (tmp_path / "run-data").mkdir()
    (tmp_path / "run-data" / "rows.jsonl").write_text("{}")
    calls = run_script(tmp_path, BASE="hf:meta-llama/Llama-3.1-8B-Instruct")
    [trained] = [call for call in calls if call.startswith("torchrun")]
    assert "--base hf:meta-llama/Llama-3.1-8B-Instruct" in trained
    assert trained.endswith(f"--data {tmp_path}/run-data")


def test_the_estimate_is_tokens_over_throughput_at_the_price() -> None:
    job = Job("coder", 32, "i:1", "s3://b", 21.50, "on demand")
    ledger = estimate(job, tokens=20_000_000, tokens_per_s=20_000_000 / 3600, source="made up")
    assert (ledger.basis, ledger.instance_hours) == ("estimated", pytest.approx(32))
    assert ledger.usd == pytest.approx(32 * 21.50)


def test_the_estimate_comes_before_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASK, "--tokens", "3600000", "--tokens-per-s", "1000", "--throughput-source", "a guess"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "USD 86.0000" in told
    assert "a guess" in told


def test_ninjallms_plan_is_its_ledger_under_either_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    """32 x trn1.32xlarge, 20 M tokens, 3 hours: the published bounds; a scheduler ends what takes twice as long."""
    plan = ROOT / "deploy" / "training" / "ninjallm.yaml"
    ask = ["researcher", "--plan", str(plan), "--bucket", "s3://b"]
    ledgers = []
    for scheduler in ("kubernetes", "slurm"):
        assert main([*ask, "--scheduler", scheduler]) == 0
        told = capsys.readouterr()
        ledgers.append(told.err)
        if scheduler == "slurm":
            assert "#SBATCH --nodes=32\n" in told.out
            assert "#SBATCH --time=360\n" in told.out
            assert "export USD_PER_HOUR=10.41\n" in told.out
            subprocess.run(["bash", "-n"], input=told.out, text=True, check=True)
            continue
        *_, job = yaml.safe_load_all(told.out)
        kubernetes_validate.validate(job, "1.34", strict=True)
        assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (32, 32)
        assert job["spec"]["activeDeadlineSeconds"] == 6 * 3600
        env = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert (env["NODES"], env["USD_PER_HOUR"]) == ("32", "10.41")
    assert ledgers[0] == ledgers[1]
    published = read_plan(plan)
    assert f"USD {published.usd:,.4f}" in ledgers[0]
    assert f"{published.instance_hours:.3f} (32 at once)" in ledgers[0]


def test_what_the_command_line_says_stands_over_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plan = ROOT / "deploy" / "training" / "ninjallm.yaml"
    more = ["--nodes", "4", "--usd-per-hour", "21.5", "--price-source", "mine"]
    assert main(["coder", "--plan", str(plan), "--bucket", "s3://b", *more]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "USD 258.0000" in told  # 3 h x 4 x 21.50
    assert "mine" in told


@pytest.mark.parametrize("text", ["run: x", "- 1", ""])
def test_a_plan_that_is_none_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    assert main(["coder", "--plan", str(tmp_path / "plan.yaml"), "--bucket", "s3://b"]) == 1
    assert "plan.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--nodes", "0"], ["--image", "x:latest"], ["--bucket", "/tmp/x"]])
def test_what_cannot_be_is_refused(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASK, *more]) == 1
    assert capsys.readouterr().err.startswith("error: ")
