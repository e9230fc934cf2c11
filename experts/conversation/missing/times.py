"""Days and hours in calls' values, and whether a conversation names them: "tomorrow at half past two"."""

from __future__ import annotations

import re
from typing import Final

from experts.conversation.missing.said import Said, words_of

DAY: Final = re.compile(r"\b\d{4}[-/.]\d{1,2}[-/.](\d{1,2})(?!\d)|\b(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d{2})\b")
"""A day as a tool takes it, its number in the first group; in either of the others where day and month are not told
apart."""
CLOCK: Final = re.compile(r"(?<![\d:])(\d{1,2}):\d{2}(?!\d)|\b(\d{1,2}) ?[ap]\.?m\b")
"""An hour, its number in one of the groups."""
_FIRST: Final = 1.0
_MONTHS: Final = frozenset(
    words_of("january february march april may june july august september october november december")
)
_WEEKDAYS: Final = frozenset(
    words_of("monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun")
)
_RELATIVE: Final = frozenset(words_of("today tomorrow tonight yesterday weekend week next now christmas easter"))
_DAYTIMES: Final = frozenset(
    words_of(
        "now noon midnight midday morning evening afternoon night tonight half quarter lunch dinner breakfast hour"
        " hours minutes"
    )
)
_DAY_WORDS: Final = _WEEKDAYS | _MONTHS | {"today", "tomorrow", "tonight", "yesterday"}
_NUMBER: Final = re.compile(r"\d{1,2}(?:st|nd|rd|th)?")


def names_day(said: Said, folded: str) -> bool:
    """Say whether something that was said may mean the day in a folded value."""
    if said.words & (_WEEKDAYS | _RELATIVE):
        return True
    days = {float(day) for match in DAY.finditer(folded) for day in match.groups() if day}
    if days & said.numbers or (_FIRST in days and said.words & _MONTHS):
        return True
    return any(day - number in said.numbers for day in days for number in said.numbers)  # "from the 1st, 3 nights"


def names_hour(said: Said, folded: str) -> bool:
    """Say whether something that was said may mean the hour in a folded value."""
    if said.words & _DAYTIMES:
        return True
    hours = {int(hour) for match in CLOCK.finditer(folded) for hour in match.groups() if hour}
    return any(float(at) in said.numbers for hour in hours for at in (hour, (hour + 12) % 24, hour - 12))


def is_day(folded: str) -> bool:
    """Say whether a folded value is a day and no more."""
    return DAY.search(folded) is not None and CLOCK.search(folded) is None


def is_hour(folded: str) -> bool:
    """Say whether a folded value is an hour and no more."""
    return CLOCK.search(folded) is not None and DAY.search(folded) is None


def is_time_alone(words: list[str]) -> bool:
    """Say whether words are small numbers, months and days alone, as no place is called: "march 7th"."""
    return all(word in _DAY_WORDS or _NUMBER.fullmatch(word) for word in words)
