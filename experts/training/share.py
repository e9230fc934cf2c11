"""Samples that begin alike share their beginning: it is computed once, and each sample goes on from it by itself.

Questions over the same documents, and requests beside the same tools, differ in their last words alone. Several of them
make one row: the common beginning, then each sample's own rest and answer as a branch, which sees the beginning and
itself but no other branch. What is learnt is the same as from one row each; positions count from the beginning, too.
Called by `experts.training.cpu` for supervised training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from experts.training.encode import Encoded

_LEAST_SAVED: Final = 96  # tokens, for a sample to join a row: a longer row's attention takes time as well
_MOST_BRANCHES: Final = 12


@dataclass(frozen=True, slots=True)
class Branch:
    """A sample's own tokens: the rest of its prompt, never empty, and its answer."""

    rest: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens that samples have in common, and what each has of its own."""

    common: tuple[int, ...]
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        """Tokens that are computed."""
        return len(self.common) + sum(len(branch.rest) + len(branch.answer) for branch in self.branches)


def share(samples: Sequence[Encoded], longest: int) -> list[Row]:
    """Join samples with like beginnings to rows of at most `longest` tokens; a sample alone makes a row of its own."""
    rows = list(_rows(sorted(samples, key=lambda sample: sample.prompt), longest))
    return [row for row in rows if row.branches]


def _rows(ordered: Sequence[Encoded], longest: int) -> Iterator[Row]:
    group: list[Encoded] = []
    for sample in ordered:
        joined = _row([*group, sample])
        saved = (_row(group).length if group else 0) + sample.length - joined.length
        if group and (saved < _LEAST_SAVED or joined.length > longest or len(group) == _MOST_BRANCHES):
            yield _row(group)
            group = []
        group.append(sample)
    if group:
        yield _row(group)


def _row(samples: Sequence[Encoded]) -> Row:
    at = _common(samples)
    return Row(samples[0].prompt[:at], tuple(Branch(sample.prompt[at:], sample.answer) for sample in samples))


def _common(samples: Sequence[Encoded]) -> int:
    """Count the tokens at the beginning of every prompt; the last one of each is its own, since it predicts the answer.

    Samples are sorted, so that what the first and the last have in common all have.
    """
    pairs = zip(samples[0].prompt[:-1], samples[-1].prompt[:-1], strict=False)
    shortest = min(len(sample.prompt) for sample in samples) - 1
    return min(shortest, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)))
