"""What a rule has found, and where."""

from dataclasses import dataclass

from serve.steps.guard.rules import Rule


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule has found: a span of the text as it came.

    Attributes:
        rule: the rule's own settings.
        entity: what it is, such as `EMAIL`.
        start: the first character.
        end: the character after the last.
        why: a rule that weighs a whole text tells by how much; never a word of it.
    """

    rule: Rule
    entity: str
    start: int
    end: int
    why: str = ""
