"""What a sentence encoder adds to the words: how near a request is to each tool, as numbers that the selector weighs.

The router runs no encoder. Who has one encodes `line_of` each tool, once a set, and `asked_line` of each request.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from router.tools.index import Floats, ToolText, product
from router.tools.likeness import places
from router.tools.terms import taken_apart

NEARNESS: Final = ("encoder: nearness", "encoder: beside the nearest tool", "encoder: place")
_LONGEST: Final = 1_000  # characters; encoders read no more of a tool, or of a request


@dataclass(frozen=True, slots=True)
class Meaning:
    """Vectors of length 1 of one encoder.

    Attributes:
        asked: of the request, (D,).
        tools: of each tool, (T, D).
    """

    asked: Floats
    tools: Floats


def line_of(tool: ToolText) -> str:
    """Write what an encoder reads of a tool."""
    return f"{taken_apart(tool.name)}: {tool.description}"[:_LONGEST]


def asked_line(newest: str) -> str:
    """Write what an encoder reads of a request, its newest user turn; empty where nothing was said."""
    return newest[:_LONGEST].strip()


def nearness(meaning: Meaning) -> Floats:
    """Compare a request with each tool, (T, len(NEARNESS))."""
    near = product(meaning.tools, meaning.asked[:, None])[:, 0]
    return np.stack([near, near - near.max(), places(near[None])], axis=1).astype(np.float32, copy=False)
