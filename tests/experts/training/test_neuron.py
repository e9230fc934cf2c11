"""Trainium without its SDK: what is refused before anything is loaded, and how the model is spread.

The trainer's calls are bound to the installed library in tests/neuron.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from experts.artifacts.bases import BaseUnavailable
from experts.training.neuron import Shards, train
from experts.training.recipe import Hyperparameters
from experts.training.run import Run
from experts.training.training_cost import Prices
from tests.experts.entries import expert_spec


def test_an_8b_takes_eight_cores_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOEGATE_TENSOR_PARALLEL", "MOEGATE_PIPELINE_PARALLEL"):
        monkeypatch.delenv(name, raising=False)
    assert Shards.from_environment() == Shards(tensor_parallel=8, pipeline_parallel=1)
    monkeypatch.setenv("MOEGATE_TENSOR_PARALLEL", "4")
    monkeypatch.setenv("MOEGATE_PIPELINE_PARALLEL", "2")
    assert Shards.from_environment() == Shards(tensor_parallel=4, pipeline_parallel=2)


def test_a_method_that_neuron_lacks_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    run = Run(expert_spec(), [], Hyperparameters(method="orpo"), tmp_path)
    with pytest.raises(BaseUnavailable, match="give --method sft"):
        train(run, Prices(1.0, "a test"), Console(file=io.StringIO()))


def test_without_the_sdk_it_is_an_import_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError):
        train(Run(expert_spec(), [], Hyperparameters(), tmp_path), Prices(1.0, "a test"), Console(file=io.StringIO()))
