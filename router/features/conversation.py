"""Which earlier turns a request refers to, and how much.

"shorter" or "and in French?" means nothing alone. It takes its meaning from the user turn before it, which may itself
refer to an earlier one. `features.featurize` asks a trained head how likely each turn does so, newest first, and blends
the turns by the resulting shares. No clock, no state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_TURNS = 16  # messages looked at, newest last
MAX_USER_TURNS = 4
LEAST_LEFT = 0.04  # a share smaller than this is not worth reading another turn for
ANSWER_CHARS = 4_000
SYSTEM_TURNS = 8  # messages at a conversation's start and at its end among which a system prompt is looked for
SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation; `role` is system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Thread:
    """What matters of a conversation.

    Attributes:
        said: user turns, newest first, at most `MAX_USER_TURNS`; ("",) when there is none.
        answer: the head of the answer before the newest user turn; "" when there is none.
        answered_in_code: it, or another since the user turn before, holds a fenced block.
        used_tools: a tool's result stands between the newest user turn and the one before it.
        system: the system prompts, joined; "" when there is none.
    """

    said: tuple[str, ...]
    answer: str
    answered_in_code: bool
    used_tools: bool
    system: str = ""


def thread_of(turns: Sequence[Turn]) -> Thread:
    """Read the last `MAX_TURNS` messages."""
    recent = turns[-MAX_TURNS:]
    places = [at for at, turn in enumerate(recent) if turn.role == "user"]
    said = tuple(recent[at].text for at in reversed(places))[:MAX_USER_TURNS] or ("",)
    start = places[-2] if len(places) > 1 else 0
    between = recent[start : places[-1]] if places else ()
    answers = [turn.text[:ANSWER_CHARS] for turn in between if turn.role == "assistant"]
    return Thread(
        said=said,
        answer=answers[-1] if answers else "",
        answered_in_code=any("```" in answer for answer in answers),
        used_tools=any(turn.role == "tool" for turn in between),
        system=system_of(turns),
    )


def system_of(turns: Sequence[Turn]) -> str:
    """Join the system prompts among a conversation's first and last messages."""
    seen = turns if len(turns) <= 2 * SYSTEM_TURNS else (*turns[:SYSTEM_TURNS], *turns[-SYSTEM_TURNS:])
    return "\n".join(turn.text for turn in seen if turn.role in SYSTEM_ROLES)


def shares(count: int, leans: Callable[[int], float]) -> list[float]:
    """Split a whole of 1 over turns 0 (newest) to `count - 1`; the list stops where nothing is left.

    Args:
        count: user turns at hand, at least 1.
        leans: probability that a turn needs an earlier one, in [0, 1]; called at most once a turn, never for the last.
    """
    found: list[float] = []
    left = 1.0
    for at in range(count):
        leaning = leans(at) if at < count - 1 else 0.0
        found.append(left * (1.0 - leaning))
        left *= leaning
        if left < LEAST_LEFT:
            found[-1] += left
            break
    return found
