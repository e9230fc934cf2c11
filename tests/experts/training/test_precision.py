"""The quicker arithmetic: what is timed decides, once."""

from collections.abc import Iterator

import pytest
import torch

from experts.training import precision


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    precision.quicker.cache_clear()
    yield
    precision.quicker.cache_clear()


def test_one_of_the_two_is_chosen() -> None:
    assert precision.quicker() in (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("quick", [torch.bfloat16, torch.float32])
def test_what_takes_less_is_chosen_and_asked_once(monkeypatch: pytest.MonkeyPatch, quick: torch.dtype) -> None:
    asked: list[torch.dtype] = []

    def seconds(dtype: torch.dtype) -> float:
        asked.append(dtype)
        return 1.0 if dtype is quick else 2.0

    monkeypatch.setattr(precision, "_seconds", seconds)
    assert precision.quicker() is precision.quicker() is quick
    assert len(asked) == 2
