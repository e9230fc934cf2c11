"""Who answered the conversation so far, and how firmly its next turn stays with them; read from the messages alone.

The gateway keeps no state: a conversation is what its messages say. The caller may name who answered last. Otherwise
the router decides again for the last earlier turn that stood on its own (`anchor`). That takes one more pass through
the gate, and only if there are earlier user turns.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from router.features.conversation import SYSTEM_ROLES, SYSTEM_TURNS
from router.features.featurize import RouteQuery
from router.policy.follow_ups import LEANING, LEANING_WIDE, MORE, POLITE

LOOK_BACK: Final = 12  # turns; what was said before them is another conversation
LONGEST_CHARS: Final = 200  # a longer turn stands on its own, whatever it begins with
SHORT_WORDS: Final = 3
BRIEF_WORDS: Final = 6
SHORT_INERTIA: Final = 6.0
BRIEF_INERTIA: Final = 4.0
STAYS: Final = float("inf")

_WIDE = re.compile(r"[\u0e00-\u0eff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff]")
_EDGES: Final = " \t\n.,;:!?…¿¡。！？、，\"'"


@dataclass(frozen=True, slots=True)
class Previous:
    """The conversation so far.

    Attributes:
        expert: who answered its last turn that stood on its own.
        inertia: how many times the usual gain it takes to move away; infinite = it stays.
    """

    expert: str
    inertia: float = 1.0


def inertia_of(query: RouteQuery) -> float:
    """Say how strongly the last user turn depends on the turns before it.

    Few words have little signal of their own; words that ask for more of the same have none. Offered tools are a
    signal by themselves: then no turn is held back by its shortness.
    """
    if query.has_tools:
        return 1.0
    text = next((turn.text for turn in reversed(query.turns) if turn.role == "user"), "")
    return text_inertia(text)


def text_inertia(text: str) -> float:
    """Say the same of a turn's text."""
    if len(text) > LONGEST_CHARS:
        return 1.0
    folded = (part.strip(_EDGES) for part in text.casefold().split())
    asked = [word for word in folded if word and word not in POLITE]
    if not asked or " ".join(asked) in MORE:
        return STAYS
    words = count_words(text)
    if words > BRIEF_WORDS:
        return 1.0
    is_leaning = words <= SHORT_WORDS or asked[0] in LEANING or asked[0].startswith(LEANING_WIDE)
    return SHORT_INERTIA if is_leaning else BRIEF_INERTIA


def count_words(text: str) -> int:
    """Count words; two characters of a script without spaces are one."""
    wide = len(_WIDE.findall(text))
    return len(_WIDE.sub(" ", text).split()) + (wide + 1) // 2


def anchor(query: RouteQuery) -> RouteQuery | None:
    """Return the query as it stood at the last earlier user turn that stands on its own; None if there is none.

    Where every earlier turn asks for more, the first of them counts: something began the conversation.
    """
    first = max(0, len(query.turns) - LOOK_BACK)
    places = [at for at in range(first, len(query.turns)) if query.turns[at].role == "user"][:-1]
    if not places:
        return None
    at = next((at for at in reversed(places) if text_inertia(query.turns[at].text) < STAYS), places[0])
    before = tuple(turn for turn in query.turns[: min(first, SYSTEM_TURNS)] if turn.role in SYSTEM_ROLES)
    return replace(query, turns=(*before, *query.turns[first : at + 1]))
