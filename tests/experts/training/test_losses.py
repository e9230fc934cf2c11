import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from experts.training.batch import IGNORED, collate
from experts.training.encode import Encoded
from experts.training.losses import answer_log_probs, orpo_loss, sft_loss


def test_each_answer_token_weighs_the_same_whatever_stands_beside_it() -> None:
    assert sft_loss(torch.tensor([-1.0, -2.0, -6.0]), 3).item() == pytest.approx(3.0)
    assert sft_loss(torch.tensor([-2.0]), 3).item() == pytest.approx(2 / 3)


def test_logits_of_answers_alone_give_the_models_own_loss(tiny_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
    batch = collate([Encoded((5, 6, 7), (8, 9, 2)), Encoded((5,), (9, 2))])
    with torch.no_grad():
        wanted = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.item()
        hidden = model.model(input_ids=batch["input_ids"]).last_hidden_state
        log_probs, rows = answer_log_probs(hidden, batch["labels"], model.lm_head)
    assert IGNORED == -100
    assert rows.tolist() == [0, 0, 0, 1, 1]
    assert sft_loss(log_probs, 5).item() == pytest.approx(wanted, abs=1e-5)


def test_orpo_by_hand() -> None:
    # Chosen tokens of probability 1/2 and 1/8: geometric mean 1/4, odds 1/3. Rejected: 1/10, odds 1/9. Ratio 3.
    log_probs = torch.log(torch.tensor([0.5, 0.125, 0.1]))
    likelihood = -(math.log(0.5) + math.log(0.125)) / 2
    penalty = -math.log(3 / (1 + 3))
    loss = orpo_loss(log_probs, torch.tensor([0, 0, 1]), strength=0.25)
    assert loss.item() == pytest.approx(likelihood + 0.25 * penalty, abs=1e-5)


def test_orpo_of_two_pairs_is_their_mean() -> None:
    log_probs = torch.log(torch.tensor([0.5, 0.5, 0.25, 0.5]))  # odds 1 and 1 against 1/3 and 1
    penalty = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    loss = orpo_loss(log_probs, torch.tensor([0, 1, 2, 3]), strength=1.0)
    assert loss.item() == pytest.approx(math.log(2) + penalty, abs=1e-5)


def test_orpo_stays_finite_where_an_answer_is_certain() -> None:
    log_probs = torch.tensor([0.0, -60.0], requires_grad=True)
    loss = orpo_loss(log_probs, torch.tensor([0, 1]), strength=0.25)
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(loss.item())
    assert log_probs.grad is not None
    assert torch.isfinite(log_probs.grad).all()
