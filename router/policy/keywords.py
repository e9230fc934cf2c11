"""A router without training: it counts the words that each expert's examples and description share with a request.

It has `router.Router`'s `route`, so that an expert can be reached before the learned router knows it. A word that many
experts' examples hold says little (inverse document frequency, Spärck Jones 1972). A request without a telling word
goes to the default expert.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from router.decision import Coverage, RouteDecision
from router.features.featurize import RouteQuery, window_of
from router.features.hashing import words_of
from router.features.lexicon import concepts_among
from router.features.tokens import estimate_tokens
from router.features.window import normalise
from router.model.gate import TOOL_CALLER
from router.policy.decide import ExpertState, Policy, Wishes, decide
from router.policy.objective import NO_WISHES

VERSION = "keywords"
SURE = 1.5  # weight of shared words at which an expert is as likely right as wrong


@dataclass(frozen=True, slots=True)
class KeywordRouter:
    """Words and their weights, by expert.

    Attributes:
        words: expert to word (or concept) to weight.
        policy: the settings of a decision.
        clock: seconds, monotonic; measures `route_s`.
    """

    words: Mapping[str, Mapping[str, float]]
    policy: Policy
    clock: Callable[[], float] = time.perf_counter

    @classmethod
    def of(cls, examples: Mapping[str, Sequence[str]], default: str, abstain_below: float = 0.35) -> "KeywordRouter":
        """Make one of a few texts by expert: example requests, a description."""
        bags = {name: Counter(part for text in texts for part in set(_parts(text))) for name, texts in examples.items()}
        spread = Counter(part for bag in bags.values() for part in bag)
        words = {
            name: {
                part: math.log((1 + len(bags)) / spread[part]) * (1.0 + math.log(count)) for part, count in bag.items()
            }
            for name, bag in bags.items()
        }
        return cls(words, Policy(default, abstain_below))

    @property
    def version(self) -> str:
        """Name what decided."""
        return VERSION

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """Compare the catalogue's experts with those that have words."""
        return Coverage(
            tuple(name for name in experts if name not in self.words),
            tuple(name for name in self.words if name not in experts),
        )

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> RouteDecision:
        """Rank all experts for one query.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        started = self.clock()
        decision = decide(
            self.probabilities(query),
            states,
            self.policy,
            prompt_tokens=estimate_tokens(turn.text for turn in query.turns) + query.documents.tokens,
            router_version=VERSION,
            pinned=pinned,
            wishes=wishes,
        )
        return replace(decision, route_s=self.clock() - started)

    def probabilities(self, query: RouteQuery) -> dict[str, float]:
        """Squash the weight of shared words into [0, 1); offered tools are for the tool-caller."""
        parts = set(_parts(f"{query.thread.system}\n{window_of(query).own}"))
        weight = {name: sum(words.get(part, 0.0) for part in parts) for name, words in self.words.items()}
        found = {name: each / (each + SURE) for name, each in weight.items()}
        return found | {TOOL_CALLER: 1.0 if query.has_tools else 0.0}


def _parts(text: str) -> list[str]:
    """Split a text into telling words and concepts."""
    words = words_of(normalise(text[:4_000]))
    return [*(word for word in words if len(word) > 2), *(f"\0{concept}" for concept in concepts_among(words))]
