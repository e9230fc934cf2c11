"""Words and patterns that a rule lists itself.

Patterns are RE2's (https://github.com/google/re2/wiki/Syntax): its time grows linearly with the text, whatever the
pattern. Words are found whole, in any case.
"""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import Finding
from serve.steps.guard.plain_text import plain

MEMORY: Final = 8 * 2**20  # bytes that RE2 may use for one pattern


class BadPattern(ValueError):
    """A pattern that RE2 does not take; the message says why."""


class _Pattern(Protocol):
    def finditer(self, text: str) -> Iterable[Any]: ...
    def fullmatch(self, text: str) -> object: ...


class Phrases:
    """Finds listed words and patterns, except where the text is one of those allowed."""

    hint = None

    def __init__(
        self, words: Iterable[str] = (), patterns: Iterable[str] = (), allow: Iterable[str] = (), *, longest: int = 64
    ) -> None:
        """`longest`: characters that a match of a pattern may have; a stream holds so many back.

        Raises:
            BadPattern: RE2 does not take a pattern, or it could match nothing at all.
            ImportError: RE2 is not installed.
        """
        words, patterns = [plain(word).strip() for word in words], list(patterns)
        self._allowed = {plain(text).lower() for text in allow}
        self._blanks = max((word.count(" ") for word in words), default=0)
        self._longest = longest if patterns else 0
        self._patterns = [compiled(pattern) for pattern in patterns]
        if words:
            self._patterns.append(compiled("|".join(map(_word, sorted(words, key=len, reverse=True)))))

    def find(self, text: str) -> list[Finding]:
        """Return where the text holds one."""
        return [
            Finding("PHRASE", *match.span())
            for pattern in self._patterns
            for match in pattern.finditer(text)
            if match.end() > match.start() and match[0].lower() not in self._allowed
        ]

    def open_from(self, text: str) -> int:
        """As many words as the longest phrase has, and as many characters as a match of a pattern may have."""
        start = word_start(text, len(text))
        for _ in range(self._blanks):
            start = word_start(text, len(text[:start].rstrip()))
        return max(0, min(start, len(text) - self._longest))


def compiled(pattern: str) -> _Pattern:
    """Compile a pattern that ignores case.

    Raises:
        BadPattern: RE2 does not take it, or it matches nothing at all.
        ImportError: RE2 is not installed.
    """
    import re2  # noqa: PLC0415  # an extra: only who lists phrases needs it

    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = MEMORY
    options.log_errors = False
    try:
        made: Any = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it cannot be read"
        raise BadPattern(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
    if made.fullmatch(""):
        raise BadPattern("it matches nothing at all")
    return made  # type: ignore[no-any-return]


def _word(word: str) -> str:
    import re2  # noqa: PLC0415

    escaped = r"\s+".join(re2.escape(part) for part in word.split())
    before = r"\b" if word[:1].isascii() and word[:1].isalnum() else ""
    after = r"\b" if word[-1:].isascii() and word[-1:].isalnum() else ""
    return f"{before}{escaped}{after}"
