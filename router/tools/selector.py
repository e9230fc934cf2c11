"""The learned selector: weighs `likeness`, and `nearness` where there is an encoder, and keeps the best tools.

The step `serve.steps.tool_selection` asks it. Its artefact is a small JSON file (`selector.json`, made by
`python -m router.training.tool_selection`; CARD.md beside it) of two heads: one weighs the words alone, the other what
a certain encoder says as well. A head has a weight for each number, and for each stated recall a margin and a floor,
both measured on sources that the weights had not been fitted on:

* the margin below the best tool within which all tools of a request were found in that share of requests, over all;
* the floor, the share of tools that are kept at least, with which the worst of the groups of sources reached it, too
  (or nearly: a floor has a limit).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.errors import ArtifactError
from router.tools.index import Floats, ToolIndex, weighted
from router.tools.likeness import LIKENESS, likeness
from router.tools.meaning import NEARNESS, Meaning, nearness
from router.tools.question import Question

DEFAULT_PATH: Final = Path(__file__).with_name("selector.json")
FORMAT: Final = 2
MOST_SHARE: Final = 0.5  # a margin that holds more than this of the tools tells nothing
WORDS, ENCODED = "words", "encoder"  # the heads' names in the artefact
NUMBERS: Final[Mapping[str, Sequence[str]]] = {WORDS: LIKENESS, ENCODED: (*LIKENESS, *NEARNESS)}


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
class Head:
    """What was learned over one list of numbers.

    Attributes:
        weights: of each number, (n,).
        margins: log-odds, by stated recall.
        floors: shares of the tools, by stated recall.
    """

    weights: Floats
    margins: Mapping[float, float]
    floors: Mapping[float, float]

    def calibrated(self, recall: float) -> tuple[float, float]:
        """Return margin and floor of the smallest calibrated recall that is not below `recall`.

        Raises:
            ArtifactError: none is so high.
        """
        enough = [known for known in self.margins if known >= recall - 1e-9]
        if not enough:
            raise ArtifactError(f"the selector is calibrated up to a recall of {max(self.margins)}")
        return self.margins[min(enough)], self.floors[min(enough)]

    def choose(self, near: Floats, *, recall: float, at_most: int, always: Collection[int] = ()) -> Selection:
        """Choose by the numbers of each tool, (T, n); the rest as `Selector.select`."""
        scores = weighted(near, self.weights)
        margin, floor = self.calibrated(recall)
        is_near = scores >= scores.max() - margin
        is_sure = bool(is_near.sum() <= max(1, MOST_SHARE * len(scores))) and bool(scores.any())
        at_least = ceil(floor * len(scores))
        wanted = list(dict.fromkeys(always))[:at_most]
        fixed = set(wanted)
        for number, place in enumerate(np.argsort(-scores, kind="stable").tolist()):
            if len(wanted) >= at_most or (is_sure and number >= at_least and not is_near[place]):
                break
            if place not in fixed:
                wanted.append(place)
        return Selection(sorted(wanted), is_sure)


@dataclass(frozen=True, slots=True)
class Selector:
    """Both heads.

    Attributes:
        words: over `LIKENESS`.
        encoded: over `LIKENESS` and `NEARNESS`; None: not fitted.
        encoder: the name of the encoder that `encoded` was fitted with.
    """

    words: Head
    encoded: Head | None = None
    encoder: str | None = None

    def select(
        self,
        question: Question,
        index: ToolIndex,
        *,
        recall: float,
        at_most: int,
        always: Collection[int] = (),
        meaning: Meaning | None = None,
    ) -> Selection:
        """Choose the tools that a request may need.

        Args:
            question: the request.
            index: the tools.
            recall: how often all that are needed are to be among the kept.
            at_most: how many may be kept.
            always: places of tools that are kept whatever they score; at most `at_most` of them.
            meaning: what the encoder `self.encoder` says; None: the words decide alone.
        """
        near, head = likeness(question, index), self.words
        if meaning is not None and self.encoded is not None:
            near, head = np.concatenate([near, nearness(meaning)], axis=1), self.encoded
        return head.choose(near, recall=recall, at_most=at_most, always=always)


def read_selector(path: Path) -> Selector:
    """Read an artefact.

    Raises:
        ArtifactError: it is missing, torn, or made for other numbers.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            raise ArtifactError(f"{path.name}: made for another version; fit it again")
        heads = {name: _head(raw["heads"][name], name, path) for name in raw["heads"]}
        return Selector(heads[WORDS], heads.get(ENCODED), raw.get("encoder"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path.name}: cannot be read ({type(error).__name__})") from None


def _head(raw: Any, name: str, path: Path) -> Head:  # noqa: ANN401  # whatever JSON held
    if list(raw["weights"]) != list(NUMBERS[name]):
        raise ArtifactError(f"{path.name}: made for another version; fit it again")
    weights = np.array(list(raw["weights"].values()), dtype=np.float32)
    margins, floors = (
        {float(recall): float(value) for recall, value in raw[kind].items()} for kind in ("margins", "floors")
    )
    if not margins or margins.keys() != floors.keys():
        raise ArtifactError(f"{path.name}: margins and floors are of different recalls; fit it again")
    return Head(weights, margins, floors)


@lru_cache(maxsize=1)
def shipped_selector() -> Selector:
    """Read the one that ships with moegate, once."""
    return read_selector(DEFAULT_PATH)
