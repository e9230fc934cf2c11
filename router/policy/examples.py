"""Words that tell experts apart, without training: those of each expert's description and of a few example requests.

A router over it (`router.policy.rules`) reaches an expert before the learned one knows it. A word that many experts'
texts hold says little (inverse document frequency, Spärck Jones 1972). A request without a telling word gets small
probabilities, so that the default expert answers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.features.featurize import RouteQuery, window_of
from router.features.hashing import words_of
from router.features.lexicon import concepts_among
from router.features.window import normalise
from router.model.gate import TOOL_CALLER

SURE: Final = 1.5  # weight of shared words at which an expert is as likely right as wrong
_LONGEST: Final = 4_000  # characters of a text that are read


@dataclass(frozen=True, slots=True)
class ExampleWords:
    """A judge (`router.policy.rules.Judge`).

    Attributes:
        words: expert to word (or concept) to weight.
        for_tools: the experts for requests that offer tools.
    """

    words: Mapping[str, Mapping[str, float]]
    for_tools: Sequence[str] = (TOOL_CALLER,)

    @classmethod
    def of(cls, texts: Mapping[str, Sequence[str]], for_tools: Sequence[str] = (TOOL_CALLER,)) -> "ExampleWords":
        """Weigh the words of a few texts by expert: its description, example requests."""
        bags = {name: Counter(part for text in own for part in set(_parts(text))) for name, own in texts.items()}
        spread = Counter(part for bag in bags.values() for part in bag)
        return cls(
            {
                name: {
                    part: math.log((1 + len(bags)) / spread[part]) * (1.0 + math.log(count))
                    for part, count in bag.items()
                }
                for name, bag in bags.items()
            },
            for_tools,
        )

    def __call__(self, query: RouteQuery, experts: Sequence[str]) -> Mapping[str, float]:
        """Squash the weight of shared words into [0, 1); offered tools are for `for_tools`, and nothing else is."""
        parts = set(_parts(f"{query.thread.system}\n{window_of(query).own}"))
        weight = {name: sum(self.words.get(name, {}).get(part, 0.0) for part in parts) for name in experts}
        found = {name: each / (each + SURE) for name, each in weight.items()}
        return found | dict.fromkeys(self.for_tools, 1.0 if query.has_tools else 0.0)


def _parts(text: str) -> list[str]:
    """Split a text into telling words and concepts."""
    words = words_of(normalise(text[:_LONGEST]))
    return [*(word for word in words if len(word) > 2), *(f"\0{concept}" for concept in concepts_among(words))]
