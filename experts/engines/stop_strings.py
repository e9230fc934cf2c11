"""Stop strings across token borders: text is sent as soon as it cannot begin one, and no stop string is ever sent.

Each stop string is followed by a Knuth-Morris-Pratt automaton, so a character costs the same however long the strings
are, and the result does not depend on how the text was cut into tokens. Every engine uses it, one matcher a sequence.
Stop strings are for words: where tool calls may come, `WordStops` looks for them outside the calls alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from experts.conversation.json_repair import JsonScanner
from experts.engine import Markup


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


class WordStops:
    """A `StopMatcher` for the words of a text with markup in it: what stands there, and blanks behind it, are none."""

    def __init__(self, stops: Sequence[str], markup: Markup) -> None:
        self._stops = stops
        self._markup = markup
        self._words = StopMatcher(stops)
        self._begun = ""  # may become the opening mark
        self._scanner: JsonScanner | None = None  # inside the marks
        self._inside = ""  # its last characters
        self._is_behind = False  # nothing but blanks since the closing mark
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what may leave now; see `StopMatcher.push`."""
        out = ""
        for character in text:
            if self.stopped:
                break
            out += self._word(character) if self._scanner is None else self._mark(character, self._scanner)
        return out

    def flush(self) -> str:
        """Return what was held back; called when the sequence has ended for another reason."""
        begun, self._begun = self._begun, ""
        out = self._words.push(begun)
        self.stopped = self.stopped or self._words.stopped
        return out + self._words.flush()

    def _word(self, character: str) -> str:
        if self._is_behind and character.isspace():
            return character
        self._is_behind = False
        self._begun += character
        out = ""
        while not self._markup.open.startswith(self._begun):
            out += self._words.push(self._begun[0])
            self._begun = self._begun[1:]
            if self._words.stopped:
                self.stopped = True
                return out
        if self._begun != self._markup.open:
            return out
        out += self._words.flush() + self._begun
        self._begun, self._words, self._scanner, self._inside = "", StopMatcher(self._stops), JsonScanner(), ""
        return out

    def _mark(self, character: str, scanner: JsonScanner) -> str:
        scanner.push(character)
        self._inside = (self._inside + character)[-len(self._markup.close) :]
        if self._inside == self._markup.close and not scanner.in_string:
            self._scanner, self._is_behind, self.stopped = None, True, self._markup.is_last
        return character


class Matcher(Protocol):
    """What a sequence sends its text through."""

    stopped: bool

    def push(self, text: str) -> str:
        """Return what may leave now."""

    def flush(self) -> str:
        """Return what was held back."""


def stop_matcher(stops: Sequence[str], markup: Markup | None) -> Matcher:
    """Make the matcher of one sequence."""
    return StopMatcher(stops) if markup is None else WordStops(stops, markup)
