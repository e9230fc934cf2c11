"""The system prompt, said by the answer: a run of its words, one after the other."""

import re
from collections.abc import Iterable
from typing import Final

from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import Finding
from serve.steps.guard.plain_text import plain

_WORD: Final = re.compile(r"[^\W_]+")


class PromptLeak:
    """Finds runs of words of a prompt."""

    hint = None

    def __init__(self, prompts: Iterable[str], words: int = 10) -> None:
        """`words`: how long a run must be."""
        self._length = words
        self._grams: set[tuple[str, ...]] = set()
        self._heads: set[tuple[str, ...]] = set()
        for prompt in prompts:
            said = [word.lower() for word in _WORD.findall(plain(prompt))]
            for start in range(len(said) - words + 1):
                self._grams.add(tuple(said[start : start + words]))
            for start in range(len(said)):
                self._heads.update(tuple(said[start : start + size]) for size in range(1, words))

    def find(self, text: str) -> list[Finding]:
        """Return the runs, those that touch each other joined."""
        found: list[Finding] = []
        spans = [(match.start(), match.end(), match[0].lower()) for match in _WORD.finditer(text)]
        for place in range(len(spans) - self._length + 1):
            run = spans[place : place + self._length]
            if tuple(word for _, _, word in run) in self._grams:
                start = run[0][0]
                if found and found[-1].end >= start:
                    start = found.pop().start
                found.append(Finding("SYSTEM_PROMPT", start, run[-1][1]))
        return found

    def open_from(self, text: str) -> int:
        """The longest last run of words that stands in a prompt, and the word after it, which may not be whole."""
        end = word_start(text, len(text))
        spans = [match for match in _WORD.finditer(text, 0, end)][-self._length + 1 :]
        for place, first in enumerate(spans):
            if tuple(match[0].lower() for match in spans[place:]) in self._heads:
                return first.start()
        return end
