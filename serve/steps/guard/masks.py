"""Names in the place of what was found, the same name for the same thing; and back again, for the caller alone."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from serve.steps.guard.hit import Hit

_NAME: Final = re.compile(r"<([A-Z_]{2,20})_([1-9]\d{0,5})>")
_BEGUN: Final = re.compile(r"<(?:[A-Z][A-Z_]{0,20}\d{0,6})?\Z")


class Masks:
    """The names of one request and its answer."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._restorable: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    @property
    def can_restore(self) -> bool:
        """Whether something that was masked goes back into the answer."""
        return bool(self._restorable)

    def mask(self, text: str, hits: Iterable[Hit], *, start: int = 0) -> str:
        """Return the text from `start` with a name in the place of each hit, which are in order and do not overlap."""
        pieces: list[str] = []
        end = start
        for hit in hits:
            pieces += (text[end : hit.start], self.name(hit, text[hit.start : hit.end]))
            end = hit.end
        return "".join((*pieces, text[end:]))

    def name(self, hit: Hit, value: str) -> str:
        """Return the name of what was found."""
        name = self._names.get((hit.entity, value))
        if name is None:
            self._counts[hit.entity] = count = self._counts.get(hit.entity, 0) + 1
            self._names[hit.entity, value] = name = f"<{hit.entity}_{count}>"
        if hit.rule.restore:
            self._restorable[name] = value
        return name

    def restore(self, text: str, on_shift: Callable[[int, int], None] | None = None) -> str:
        """Put back what may be restored; `on_shift` hears where a name ended, and how much longer its thing is."""

        def thing(match: re.Match[str]) -> str:
            found = self._restorable.get(match[0])
            if found is None:
                return match[0]
            if on_shift is not None:
                on_shift(match.end(), len(found) - len(match[0]))
            return found

        return _NAME.sub(thing, text)

    @staticmethod
    def open_from(text: str) -> int:
        """Return from where on a text may be the beginning of a name."""
        begun = _BEGUN.search(text, max(0, len(text) - 30))
        return begun.start() if begun else len(text)
