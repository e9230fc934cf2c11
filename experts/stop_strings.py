"""Stop strings across token borders: text leaves as soon as it cannot be the beginning of one, and none ever leaks.

Each stop string is followed by a Knuth-Morris-Pratt automaton, so a character costs the same however long the strings
are, and the result does not depend on how the text was cut into tokens. Used by every engine, one `StopMatcher` a
sequence.
"""

from __future__ import annotations

from collections.abc import Sequence


class _Follower:
    """How many characters of `stop` the text seen so far ends with."""

    def __init__(self, stop: str) -> None:
        self._stop = stop
        self._fallback = _prefix_function(stop)
        self.matched = 0

    @property
    def is_complete(self) -> bool:
        return self.matched == len(self._stop)

    def push(self, character: str) -> None:
        while self.matched and self._stop[self.matched] != character:
            self.matched = self._fallback[self.matched - 1]
        if self._stop[self.matched] == character:
            self.matched += 1


def _prefix_function(stop: str) -> list[int]:
    """Return, for each prefix of `stop`, the length of its longest proper prefix that is also its suffix."""
    lengths = [0] * len(stop)
    for end in range(1, len(stop)):
        length = lengths[end - 1]
        while length and stop[length] != stop[end]:
            length = lengths[length - 1]
        lengths[end] = length + (stop[length] == stop[end])
    return lengths


class StopMatcher:
    """Lets text through up to the first place where a stop string is complete.

    When several are complete at the same character, the longest counts.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._followers = [_Follower(stop) for stop in stops]
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what may leave now: everything but the shortest suffix that may still become a stop string."""
        if self.stopped or not self._followers:
            return "" if self.stopped else text
        for position, character in enumerate(text):
            for follower in self._followers:
                follower.push(character)
            complete = [follower.matched for follower in self._followers if follower.is_complete]
            if complete:
                self.stopped = True
                return self._release(self._held + text[: position + 1], max(complete), keep=False)
        return self._release(self._held + text, max(follower.matched for follower in self._followers), keep=True)

    def flush(self) -> str:
        """Return what was held back; called when the sequence has ended for another reason."""
        held, self._held = self._held, ""
        return held

    def _release(self, text: str, tail: int, *, keep: bool) -> str:
        border = len(text) - tail
        self._held = text[border:] if keep else ""
        return text[:border]
