"""The losses: the answer's negative log-likelihood, and ORPO's odds ratio between two answers.

Called by `experts.training.trainer` with log-probabilities of answer tokens alone. Logits of the prompt are never
computed (the matrix for them holds a fifth of SmolLM2-135M's weights). Everything here is float32: log(1 - e^l) loses
its digits in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experts.training.batch import IGNORED


def answer_log_probs(hidden: Tensor, labels: Tensor, head: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Return each answer token's log-probability (n,), and the row that it stands in (n,).

    `hidden` is (rows, tokens, width): the state that predicts token t + 1 stands at t. `labels` is (rows, tokens).
    """
    targets = labels[:, 1:]
    learnt = targets != IGNORED
    logits = head(hidden[:, :-1][learnt]).float()
    chosen = logits.gather(1, targets[learnt].unsqueeze(1)).squeeze(1)
    return chosen - torch.logsumexp(logits, dim=1), learnt.nonzero()[:, 0]


def sft_loss(log_probs: Tensor, tokens: float) -> Tensor:
    """Return the negative log-likelihood of the answer tokens, over what a pass has of them on average.

    So each token of a run weighs the same. A mean over the pass would make four short rows of one kind weigh as much
    as four long ones that hold fifty answers of all kinds.
    """
    return -log_probs.sum() / tokens


def orpo_loss(log_probs: Tensor, rows: Tensor, strength: float) -> Tensor:
    """Return ORPO's loss (Hong et al. 2024, arXiv 2403.07691, equations 6 and 7) for chosen rows before rejected ones.

    `strength` is the paper's lambda. The answers' probabilities are geometric means over their tokens.
    """
    count = int(rows[-1]) + 1
    sums = torch.zeros(count).index_add(0, rows, log_probs)
    means = sums / torch.bincount(rows, minlength=count)
    # Below zero by a hair at the least: an answer of probability 1 would have infinite odds.
    chosen, rejected = means.clamp(max=-1e-6).chunk(2)
    log_odds = (chosen - rejected) - (_log_one_minus_exp(chosen) - _log_one_minus_exp(rejected))
    likelihood = -log_probs[rows < count // 2].mean()
    return likelihood - strength * torch.nn.functional.logsigmoid(log_odds).mean()


def _log_one_minus_exp(value: Tensor) -> Tensor:
    return torch.log(-torch.expm1(value))
