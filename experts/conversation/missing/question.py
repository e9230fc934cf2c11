"""The question for what a call lacks, in plain words out of the parameters' names and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from experts.conversation.missing.aptness import name_words
from experts.conversation.missing.said import fold

ASKING: Final = "I need to know more:"
"""How every question for a missing value begins; the tool-caller's recipe teaches it likewise. Each outcome has one
first word: among questions that begin in many ways none is as likely as a call, and the likeliest word is what a small
model says."""
_MORE: Final = re.compile(r"[.;:(\n]|,? (?:e\.g|i\.e|for example|such as|like|in the format)\b")
_LONGEST_ABOUT: Final = 60  # characters of a description that are told


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is asked for: a required parameter's name, and what its schema says about it."""

    name: str
    about: str

    @property
    def label(self) -> str:
        """Write the name as words: `the departure date`."""
        return f"the {' '.join(name_words(self.name)) or self.name}"

    @property
    def told(self) -> str:
        """Write it with the schema's few words, where they say more than the name."""
        about = _MORE.split(" ".join(self.about.split()), maxsplit=1)[0].strip(" ,")
        says_more = fold(about).removeprefix("the ") not in fold(self.label)
        return f"{self.label} ({about})" if says_more and len(about) <= _LONGEST_ABOUT else self.label


def question(parameters: Iterable[Parameter]) -> str:
    """Ask for values in words, each once."""
    *first, last = dict.fromkeys(parameter.told for parameter in parameters)
    return f"{ASKING} Please tell me {', '.join(first)}{' and ' if first else ''}{last}."


def asked_in(content: str) -> str:
    """Return the question that a turn ends with, its marks as spaces; empty where it asks for nothing."""
    return re.sub(r"[.,(]", " ", content.partition(ASKING)[2])
