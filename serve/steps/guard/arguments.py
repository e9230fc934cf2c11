"""A tool call's arguments under rules: JSON is read as what it says, since escapes would deceive a rule otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import Inspector, disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Rule


@dataclass(frozen=True, slots=True)
class GuardedArguments:
    """Carries rules out on arguments.

    Attributes:
        inspector: looks at each string; None where names alone are put back.
        rules: in order, for what two of them find.
        masks: the request's names.
        on_hits: hears what is found, and raises where it has to block.
        restores: names in the arguments are replaced by what they stand for.
    """

    inspector: Inspector | None
    rules: tuple[Rule, ...]
    masks: Masks
    on_hits: Callable[[list[Hit]], None]
    restores: bool

    def passed(self, written: str) -> str:
        """Return what may go on; what nothing was found in is returned as it was written.

        Raises:
            ContentBlocked: out of `on_hits`.
            BrokenRule: a rule that fails closed could not be carried out.
        """
        try:
            said = orjson.loads(written)
        except orjson.JSONDecodeError:  # cut off: it is read as it stands
            return self._string(written)
        guarded = self._value(said)
        return written if guarded == said else orjson.dumps(guarded).decode()

    def _value(self, value: Any, name: str = "") -> Any:  # noqa: ANN401  # JSON
        match value:
            case str():
                return self._string(value, name)
            case dict():
                return {self._string(key): self._value(one, key) for key, one in value.items()}
            case list():
                return [self._value(one, name) for one in value]
            case int() | float() if not isinstance(value, bool):
                said = str(value)
                return value if (guarded := self._string(said, name)) == said else guarded
        return value

    def _string(self, text: str, name: str = "") -> str:
        """A string of JSON; the name of its field says what it is, as the words before it do in a text."""
        if self.inspector is not None:
            before = f"{name}: " if name else ""
            hits = [
                replace(hit, start=hit.start - len(before), end=hit.end - len(before))
                for hit in self.inspector.hits(before + text)
                if hit.start >= len(before)
            ]
            if hits:
                self.on_hits(hits)
                text = self.masks.mask(text, disjoint(hits, self.rules))
        return self.masks.restore(text) if self.restores and self.masks.can_restore else text
