"""The attention that trains is causal attention: its values and its gradients are PyTorch's."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from experts.training.attention import attend


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2), (9, 3), (3, 1)])
@pytest.mark.parametrize("tokens", [1, 2, 17, 128, 300])
@pytest.mark.parametrize("is_masked", [False, True])
def test_values_and_gradients_are_those_of_pytorch(heads: int, key_heads: int, tokens: int, is_masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = leaf(2, heads, tokens, 8), leaf(2, key_heads, tokens, 8), leaf(2, key_heads, tokens, 8)
    seen = torch.rand(2, 1, tokens, tokens) < 0.5
    seen = (seen | torch.eye(tokens, dtype=torch.bool)).tril()
    mask = torch.zeros(seen.shape, dtype=torch.float64).masked_fill_(~seen, -torch.inf) if is_masked else None
    ours, weights = attend(None, query, key, value, mask)
    wide = [part.repeat_interleave(heads // key_heads, 1) for part in (key, value)]
    theirs = scaled_dot_product_attention(query, *wide, attn_mask=mask, is_causal=not is_masked).transpose(1, 2)
    direction = torch.randn_like(ours)
    assert weights is None
    assert torch.allclose(ours, theirs)
    inputs = (query, key, value)
    for one, other in zip(
        torch.autograd.grad((ours * direction).sum(), inputs),
        torch.autograd.grad((theirs * direction).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(one, other)


def test_a_scale_is_honoured() -> None:
    query, key, value = leaf(1, 2, 5, 8), leaf(1, 2, 5, 8), leaf(1, 2, 5, 8)
    theirs = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.3).transpose(1, 2)
    assert torch.allclose(attend(None, query, key, value, None, scaling=0.3)[0], theirs)
