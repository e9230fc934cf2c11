"""Two runs are the same when their outcome would be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experts.training.budget import Budget
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample, ask
from experts.training.run import Run
from protos import chat_pb2
from tests.experts.entries import expert_spec

SAMPLES = [Sample(ask("Say a"), "a", "b"), Sample(ask("Say b"), "b")]
RUN = Run(expert_spec(system_prompt="Be brief."), SAMPLES, Hyperparameters(), Path("run"))


def test_where_it_is_kept_and_what_is_not_learnt_do_not_matter() -> None:
    moved = replace(RUN, folder=Path("elsewhere"), spec=expert_spec(system_prompt="Be brief.", max_batch_size=3))
    assert moved.digest == replace(RUN, samples=[replace(one) for one in SAMPLES]).digest == RUN.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": expert_spec(system_prompt="Be brief.", base="pypi:other")},
        {"spec": expert_spec(system_prompt="Be brief")},
        {"samples": SAMPLES[::-1]},
        {"samples": SAMPLES[:1]},
        {"samples": [*SAMPLES, SAMPLES[0]]},
        {"samples": [Sample(ask("Say a"), "a", "c"), SAMPLES[1]]},
        {"samples": [Sample(ask("Say a"), "ab"), SAMPLES[1]]},
        {"samples": [Sample(ask("Say a", documents=[chat_pb2.Document(text="a")]), "a", "b"), SAMPLES[1]]},
    ],
)
def test_whatever_decides_the_outcome_does(changes: dict[str, Any]) -> None:
    assert replace(RUN, **changes).digest != RUN.digest


@pytest.mark.parametrize("field", Hyperparameters.__dataclass_fields__)
def test_every_hyperparameter_decides(field: str) -> None:
    value = getattr(RUN.hyperparameters, field)
    other = "orpo" if field == "method" else value + 1
    assert replace(RUN, hyperparameters=replace(RUN.hyperparameters, **{field: other})).digest != RUN.digest


def test_a_bound_decides_and_so_do_rows_within_it() -> None:
    bound = replace(RUN, budget=Budget(100, 0.25))
    others = [
        RUN,
        replace(bound, budget=Budget(101, 0.25)),
        replace(bound, budget=Budget(100, 0.5)),
        replace(bound, samples=SAMPLES[:1], rows=SAMPLES[1:]),
        replace(bound, rows=SAMPLES[:1]),
    ]
    assert len({bound.digest, *(other.digest for other in others)}) == 6


def test_the_edge_between_an_answer_and_its_rejected_twin_matters() -> None:
    one, other = ([Sample(ask("x"), answer, rejected)] for answer, rejected in (("ab", "c"), ("a", "bc")))
    assert replace(RUN, samples=one).digest != replace(RUN, samples=other).digest
