"""Samples that begin alike share a row, and learn exactly what they would learn alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.training import share as sharing
from experts.training.batch import IGNORED, collate, collate_rows
from experts.training.encode import Encoded
from experts.training.losses import answer_log_probs
from experts.training.recipe import Hyperparameters
from experts.training.share import Branch, Row, share
from experts.training.trainer import load_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
LONG = tuple(range(3, 3 + 40))
TOKENS = st.lists(st.integers(3, 6), min_size=1, max_size=12).map(tuple)


@pytest.fixture(autouse=True)
def _any_saving_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_LEAST_SAVED", 8)


def test_questions_over_one_beginning_make_one_row() -> None:
    rows = share([Encoded((*LONG, 5), (8, 2)), Encoded((*LONG, 6, 7), (9, 2)), Encoded((4, 4), (3, 2))], 200)
    assert rows == [
        Row(LONG, (Branch((5,), (8, 2)), Branch((6, 7), (9, 2)))),
        Row((4,), (Branch((4,), (3, 2)),)),
    ]
    assert rows[0].length == 47


def test_a_prompt_that_begins_another_keeps_its_last_token_to_itself() -> None:
    [row] = share([Encoded(LONG, (8, 2)), Encoded((*LONG, 6), (9, 2)), Encoded(LONG, (7, 2))], 200)
    assert row.common == LONG[:-1]
    assert {branch.rest for branch in row.branches} == {LONG[-1:], (LONG[-1], 6)}


@pytest.mark.parametrize(("longest", "rows"), [(1000, 2), (60, 4), (45, 20)])
def test_rows_are_no_longer_than_wanted_and_hold_twelve_at_most(longest: int, rows: int) -> None:
    made = share([Encoded((*LONG, 5), (8 + n, 2)) for n in range(20)], longest)
    assert len(made) == rows
    assert all(row.length <= max(longest, 43) and len(row.branches) <= 12 for row in made)


@settings(max_examples=60)
@given(st.lists(st.builds(Encoded, TOKENS, TOKENS), min_size=1, max_size=12), st.integers(20, 60))
def test_no_token_is_lost(samples: list[Encoded], longest: int) -> None:
    rows = share(samples, longest)
    found = [(row.common + branch.rest, branch.answer) for row in rows for branch in row.branches]
    assert sorted(found) == sorted((sample.prompt, sample.answer) for sample in samples)
    assert sum(row.length for row in rows) <= sum(sample.length for sample in samples)
    assert all(branch.rest for row in rows for branch in row.branches)


def test_a_branch_sees_the_beginning_and_itself() -> None:
    batch = collate_rows([Row((5, 6), (Branch((7,), (8,)), Branch((9,), (4,)))), Row((3,), (Branch((4,), (5,)),))])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 4], [3, 4, 5, 0, 0, 0]]
    assert batch["labels"][0].tolist() == [IGNORED, IGNORED, IGNORED, 8, IGNORED, 4]
    assert batch["position_ids"][0].tolist() == [0, 1, 2, 3, 2, 3]
    may_look = (batch["attention_mask"] == 0)[0, 0].int().tolist()
    assert may_look == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    assert (batch["attention_mask"] == 0).any(-1).all()  # padding sees something, or its softmax were no number


def test_shared_rows_give_the_probabilities_and_gradients_of_lone_ones(tiny_base: Path) -> None:
    samples = [Encoded((*LONG, 5), (8, 9, 2)), Encoded((*LONG, 6, 7, 8), (9, 2)), Encoded((4, 9), (3, 2))]
    alone, alone_gradients = _learnt(tiny_base, collate(sorted(samples, key=lambda sample: sample.prompt)))
    shared, shared_gradients = _learnt(tiny_base, collate_rows(share(samples, 200)))
    assert torch.allclose(alone.sort().values, shared.sort().values, atol=1e-5)
    assert len(alone_gradients) == len(shared_gradients) > 0
    for one, other in zip(alone_gradients, shared_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def _learnt(base: Path, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return each answer token's log-probability and the adapter's gradients, in float32."""
    model = load_model(base, Hyperparameters(rank=2)).float()
    inner = model.get_base_model()
    labels = batch.pop("labels")
    batch = {name: part.float() if part.is_floating_point() else part for name, part in batch.items()}
    hidden = inner.model(**batch, use_cache=False).last_hidden_state
    log_probs, _ = answer_log_probs(hidden, labels, inner.lm_head)
    log_probs.sum().backward()
    return log_probs.detach(), [one.grad for one in model.parameters() if one.grad is not None]
