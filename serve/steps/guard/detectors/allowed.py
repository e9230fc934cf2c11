"""What is no finding although it looks like one: known addresses, examples, numbers that everybody may see."""

from collections.abc import Iterable
from typing import Final

from serve.steps.guard.detectors.phrases import compiled
from serve.steps.guard.plain_text import plain

ENTITY: Final = "ALLOWED"


class Allowed:
    """Things that are allowed: exactly these, whatever their case."""

    def __init__(self, words: Iterable[str] = (), patterns: Iterable[str] = (), domains: Iterable[str] = ()) -> None:
        """`patterns` are RE2's and must match the whole; `domains` are of e-mail addresses, those below them included.

        Raises:
            BadPattern: RE2 does not take a pattern, or it could match nothing at all.
            ImportError: there are patterns, and RE2 is not installed.
        """
        self._words = frozenset(plain(word).strip().lower() for word in words)
        self._patterns = [compiled(pattern) for pattern in patterns]
        self._domains = tuple(plain(domain).lower().lstrip("@.") for domain in domains)

    def allows(self, found: str) -> bool:
        """Tell whether what was found, in its plain form, is one of them."""
        low = found.lower()
        if low in self._words:
            return True
        if self._domains and "@" in low:
            domain = low.rpartition("@")[2]
            if any(domain == one or domain.endswith(f".{one}") for one in self._domains):
                return True
        return any(pattern.fullmatch(found) is not None for pattern in self._patterns)
