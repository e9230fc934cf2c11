"""What a detector has found, and what a detector is."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

CONTEXT: Final = 64
"""Characters before a span that a detector may look at to judge it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of a plain text.

    Attributes:
        entity: what it is, such as `EMAIL`; also the name of its mask.
        start: its first character.
        end: the character after its last.
    """

    entity: str
    start: int
    end: int


class Detector(Protocol):
    """Finds one kind of thing in plain text (`plain_text.plain`); takes time that grows linearly with the text."""

    @property
    def hint(self) -> re.Pattern[str] | None:
        """Where it matches nowhere, nothing is found, and nothing is open but the last word. None: it always looks."""
        ...

    def find(self, text: str) -> list[Finding]:
        """Return what the text holds, in any order; of spans that overlap, the one that begins first counts.

        Whether a span is found depends on itself, on `CONTEXT` characters before it and on what `open_from` held back.
        """
        ...

    def open_from(self, text: str) -> int:
        """Return from where on the text may be the beginning of a span that its continuation completes or extends.

        `len(text)` where nothing is open. A stream holds that much back.
        """
        ...
