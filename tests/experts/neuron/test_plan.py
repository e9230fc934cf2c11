"""A compilation on paper: figures, calls and exit status."""

from __future__ import annotations

import ast
import io
import json
from typing import Any

import pytest
from rich.console import Console

from experts.neuron import plan
from experts.neuron.instances import GIB, load_instances
from experts.neuron.plan import Plan, make_plan, show_plan
from experts.neuron.shapes import Shapes

DATA = load_instances()
B8 = "hf:meta-llama/Llama-3.1-8B-Instruct"


def planned(instance: str = "inf2.48xlarge", **shapes: Any) -> Plan:
    wanted = {"batch_size": 4, "sequence_length": 4096, "prompt_bucket": 3072, "cores": 2} | shapes
    return make_plan("plan", B8, instance, Shapes(**wanted), DATA)


def test_a_plan_for_people_names_the_exact_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["hf:meta-llama/Llama-3.1-70B-Instruct", "--instance", "inf2.48xlarge"]) == 0
    told = capsys.readouterr().out
    assert "tensor_parallel_size=24" in told
    assert "NeuronModelForCausalLM.export(MERGED, neuron_config=config, load_weights=False)" in told


def test_a_replica_costs_its_cores_share_of_the_instance() -> None:
    price = DATA.instance("inf2.48xlarge").usd_per_hour
    assert planned().usd_per_hour == pytest.approx(price / 12)
    assert planned(cores=24).usd_per_hour == pytest.approx(price)
    assert planned("inf2.xlarge", cores=24).usd_per_hour == DATA.instance("inf2.xlarge").usd_per_hour


def test_the_verdict_is_on_the_instance_that_was_asked_for() -> None:
    assert planned("inf2.xlarge").chosen.instance == "inf2.xlarge"
    assert not planned("inf2.xlarge").chosen.is_fit
    assert planned("inf2.8xlarge").chosen.is_fit
    assert [verdict.instance for verdict in planned().fits] == list(DATA.instances)


@pytest.mark.parametrize("bucket", [3072, 4096])
def test_the_calls_are_python_that_says_the_shapes(bucket: int) -> None:
    tree = ast.parse(planned(prompt_bucket=bucket).call)
    given = {
        keyword.arg: keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    assert (given["instance_type"], given["batch_size"], given["sequence_length"]) == ("inf2", 4, 4096)
    assert (given["tensor_parallel_size"], given["load_weights"]) == (2, False)
    assigned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    # The library's own default is the sequence length.
    assert [each.value for each in assigned if isinstance(each, ast.Constant)] == ([bucket] if bucket != 4096 else [])


def test_scripts_get_the_same_figures_as_people() -> None:
    made, out = planned("inf2.xlarge"), io.StringIO()
    told = json.loads(json.dumps(made.as_dict()))
    assert (told["fits"], told["problems"]) == (False, list(made.chosen.problems))
    assert told["shapes"] == {
        "batch_size": 4,
        "sequence_length": 4096,
        "prompt_bucket": 3072,
        "cores": 2,
        "dtype": "bfloat16",
    }
    assert sum(told["gib_per_core"].values()) == pytest.approx(made.memory.total / GIB, abs=0.002)
    assert "inf2.xlarge" not in told["replicas_per_instance"]
    show_plan(made, Console(file=out, width=200))
    [line] = [line for line in out.getvalue().splitlines() if line.strip().startswith("> ")]
    assert line.split()[1:3] == ["inf2.xlarge", "no"]
    assert made.chosen.problems[0] in line
    assert made.call in out.getvalue()


@pytest.mark.parametrize(("instance", "status"), [("inf2.8xlarge", 0), ("inf2.xlarge", 1), ("p5.48xlarge", 2)])
def test_the_exit_status_says_whether_it_fits(instance: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main([B8, "--instance", instance, "--json"]) == status
    told = capsys.readouterr()
    assert bool(told.out) == (status < 2)
    assert bool(told.err) == (status == 2)


def test_without_flags_all_cores_serve_the_longest_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main([B8, "--instance", "trn1.32xlarge", "--sequence-length", "2048", "--json"]) == 0
    shapes = json.loads(capsys.readouterr().out)["shapes"]
    assert (shapes["cores"], shapes["prompt_bucket"], shapes["batch_size"]) == (32, 2048, 4)


def test_an_instance_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main([B8]) == 2
    assert "say --instance: one of inf2.xlarge" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--batch-size", "--sequence-length", "--prompt-bucket", "--cores"])
@pytest.mark.parametrize("value", ["0", "-4", "2.5", "many", "²"])
def test_a_shape_is_a_whole_number_from_one(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        plan.main([B8, "--instance", "inf2.xlarge", f"{flag}={value}"])
    assert caught.value.code == 2
    assert f"{value!r} is no whole number from 1" in capsys.readouterr().err
