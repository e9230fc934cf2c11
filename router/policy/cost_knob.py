"""The knob between quality and cost, and what a position of it means.

`Knob` maps a position in [0, 1] to λ, the quality that one gives up for a unit of cost. `router.calibrate` fits its
table so that position k gives up the share k of the possible saving. `objective` uses it on every request.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

SETTINGS = 21
PRICE_ALONE = 100.0  # λ at which a hundredth of a reference answer outweighs everything else
UNCALIBRATED = (*(0.5 * at / (SETTINGS - 1 - at) for at in range(SETTINGS - 1)), PRICE_ALONE)


@dataclass(frozen=True, slots=True)
class Knob:
    """A non-decreasing table of λ at evenly spaced positions.

    The unit of cost is one *reference answer*: `prompt_tokens` and `completion_tokens` at the dearest expert's prices.
    So a table outlives a change of all prices, and a long request weighs more than a short one. Uncalibrated, half
    way two reference answers are worth one right answer, and the end is price alone.

    Attributes:
        table: λ by position, the first at 0 (quality alone), the last at 1.
        prompt_tokens: of the reference answer.
        completion_tokens: of the reference answer.
    """

    table: tuple[float, ...] = UNCALIBRATED
    prompt_tokens: float = 200.0
    completion_tokens: float = 200.0

    def price_of_cost(self, position: float) -> float:
        """Return λ at a position in [0, 1], interpolated."""
        steps = len(self.table) - 1
        at = min(max(position, 0.0), 1.0) * steps
        low = min(int(at), steps - 1)
        return self.table[low] + (at - low) * (self.table[low + 1] - self.table[low])

    def position_of(self, price_of_cost: float) -> float:
        """Return the smallest position whose λ is at least this; 1 when none is."""
        steps = len(self.table) - 1
        at = bisect_right(self.table, price_of_cost)
        if at == 0 or at > steps:
            return 0.0 if at == 0 else 1.0
        low, high = self.table[at - 1], self.table[at]
        return (at - 1 + (price_of_cost - low) / (high - low)) / steps

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the artefact's header."""
        return {
            "table": list(self.table),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Knob":
        """Read what `as_dict` wrote.

        Raises:
            ValueError: the table is too short, falls, or does not begin at 0; or a reference is not positive.
        """
        table = tuple(float(value) for value in raw["table"])
        found = cls(table, float(raw["prompt_tokens"]), float(raw["completion_tokens"]))
        is_rising = len(table) > 1 and table[0] == 0.0 and all(a <= b for a, b in pairwise(table))
        if not (is_rising and found.prompt_tokens > 0 and found.completion_tokens > 0):
            raise ValueError("knob table does not rise from 0")
        return found
