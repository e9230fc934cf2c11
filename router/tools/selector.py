"""The learned selector: weighs `likeness` and keeps the tools that stand near enough to the best one.

The step `serve.steps.tool_selection` asks it. Its artefact is a small JSON file (`selector.json`, made by
`python -m router.training.tool_selection`; CARD.md beside it): a weight for each number, and for each stated recall the
margin below the best tool within which all tools of a request were found in that share of requests of sources that the
weights had not been fitted on.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.errors import ArtifactError
from router.tools.index import Floats, ToolIndex, weighted
from router.tools.likeness import LIKENESS, likeness
from router.tools.question import Question

DEFAULT_PATH: Final = Path(__file__).with_name("selector.json")
FORMAT: Final = 1
MOST_SHARE: Final = 0.5  # a margin that holds more than this of the tools tells nothing


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen.

    Attributes:
        kept: places of the tools that are kept, ascending.
        is_sure: the margin told tools apart; otherwise all were kept, or as many as may be.
    """

    kept: Sequence[int]
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Selector:
    """Attributes: `weights` (len(LIKENESS),); `margins`, log-odds, by stated recall."""

    weights: Floats
    margins: Mapping[float, float]

    def scores(self, question: Question, index: ToolIndex) -> Floats:
        """Score each tool, (T,); only differences mean something."""
        return weighted(likeness(question, index), self.weights)

    def margin(self, recall: float) -> float:
        """Return the margin of the smallest calibrated recall that is not below `recall`.

        Raises:
            ArtifactError: none is so high.
        """
        enough = [known for known in self.margins if known >= recall - 1e-9]
        if not enough:
            raise ArtifactError(f"the selector is calibrated up to a recall of {max(self.margins)}")
        return self.margins[min(enough)]

    def select(
        self, question: Question, index: ToolIndex, *, recall: float, at_most: int, always: Collection[int] = ()
    ) -> Selection:
        """Choose the tools that a request may need.

        Args:
            question: the request.
            index: the tools.
            recall: how often all that are needed are to be among the kept.
            at_most: how many may be kept.
            always: places of tools that are kept whatever they score; at most `at_most` of them.
        """
        scores = self.scores(question, index)
        near = scores >= scores.max() - self.margin(recall)
        is_sure = bool(near.sum() <= max(1, MOST_SHARE * index.size)) and bool(scores.any())
        wanted = list(dict.fromkeys(always))[:at_most]
        fixed = set(wanted)
        for place in np.argsort(-scores, kind="stable").tolist():
            if len(wanted) >= at_most or (is_sure and not near[place]):
                break
            if place not in fixed:
                wanted.append(place)
        return Selection(sorted(wanted), is_sure)


def read_selector(path: Path) -> Selector:
    """Read an artefact.

    Raises:
        ArtifactError: it is missing, torn, or made for other numbers.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT or list(raw["weights"]) != list(LIKENESS):
            raise ArtifactError(f"{path.name}: made for another version; fit it again")
        weights = np.array(list(raw["weights"].values()), dtype=np.float32)
        return Selector(weights, {float(recall): float(margin) for recall, margin in raw["margins"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path.name}: cannot be read ({type(error).__name__})") from None


@lru_cache(maxsize=1)
def shipped_selector() -> Selector:
    """Read the one that ships with moegate, once."""
    return read_selector(DEFAULT_PATH)
