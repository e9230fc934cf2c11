"""Perfect bipartite matching: can every wanted call be paired with a made call of its own?

Parallel tool calls come in any order, and one made call may satisfy several wanted ones. BFCL's checker takes the first
that fits, and so fails answers that a better pairing accepts. Augmenting paths (Kuhn 1955) find the pairing if there is
one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_W = TypeVar("_W")
_M = TypeVar("_M")


def can_pair(wanted: Sequence[_W], made: Sequence[_M], fits: Callable[[_W, _M], bool]) -> bool:
    """Say whether `wanted` and `made` pair off one to one, nothing left over on either side."""
    if len(wanted) != len(made):
        return False
    choices = [[index for index, one in enumerate(made) if fits(want, one)] for want in wanted]
    taken: dict[int, int] = {}

    def place(want: int, tried: set[int]) -> bool:
        for index in choices[want]:
            if index in tried:
                continue
            tried.add(index)
            if index not in taken or place(taken[index], tried):
                taken[index] = want
                return True
        return False

    return all(place(want, set()) for want in range(len(wanted)))
