"""Is an answer laid out for its reader? What the advisor should do, as checks that a machine can make.

Used by the chat suite. Each check is a claim about one answer; together they are the target set of docs/experts.md:

* `finished`: it ends with a whole sentence, a list item or a closed block, and is not cut off;
* `listed`: if the task asks for several things, they are in a list;
* `short_paragraphs`: no paragraph or list item is longer than 80 words;
* `no_repetition`: no sentence or list item comes twice, and at least four of five runs of four words are new;
* `in_length_band`: 30 to 220 words; if the reference is shorter than 60 words, from half of its length.
"""

from __future__ import annotations

import re

SHORTEST, LONGEST = 30, 220  # words of an answer
LONGEST_PARAGRAPH = 80  # words
MOST_REPEATED = 0.2  # share of four-word runs that were there before
_ITEM = re.compile(r"^\s{0,6}(?:[-*•–]|\d{1,2}[.)]|[a-z][.)])\s+\S")
_SEVERAL = re.compile(
    r"\b(lists?|steps?|tips|ideas|ways|reasons|examples|suggestions|recommendations|options|plan|itinerary|checklist"
    r"|agenda|bullets?|pros and cons|advantages|strategies|ingredients"
    r"|(?:three|four|five|six|seven|eight|nine|ten|[3-9]|1\d) \w+s)\b"
)
_LEAST_ITEMS = 2
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_END = re.compile(r"([.!?…。！？:]|```|~~~)[\"'”’)\]*_]*$")


def check(task: str, answer: str, reference: str) -> dict[str, bool]:
    """Return each check that applies to this answer: `listed` only where the task asks for several things."""
    checks = {
        "finished": is_finished(answer),
        "short_paragraphs": has_short_paragraphs(answer),
        "no_repetition": not repeats(answer),
        "in_length_band": is_in_band(answer, reference),
    }
    return checks | ({"listed": len(items(answer)) >= _LEAST_ITEMS} if asks_for_several(task, reference) else {})


def word_count(text: str) -> int:
    """Count words."""
    return len(_WORD.findall(text))


def items(text: str) -> list[str]:
    """Return the lines that are list items."""
    return [line for line in text.splitlines() if _ITEM.match(line)]


def asks_for_several(task: str, reference: str) -> bool:
    """Say whether the task names several things, or the reference answers it with a list."""
    return bool(_SEVERAL.search(task.lower())) or len(items(reference)) > _LEAST_ITEMS


def is_finished(answer: str) -> bool:
    """Say whether the last line ends as a sentence does, or is an item of a list of such items."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    if not lines:
        return False
    if _END.search(lines[-1]):
        return True
    made = [line.strip() for line in items(answer)]
    # Items may do without a full stop, as long as none before the last has one either.
    return len(made) >= _LEAST_ITEMS and lines[-1] == made[-1] and not any(_END.search(item) for item in made[:-1])


def has_short_paragraphs(answer: str) -> bool:
    """Say whether every line of text is short enough to be read at a glance."""
    return all(word_count(line) <= LONGEST_PARAGRAPH for line in answer.splitlines())


def repeats(answer: str) -> bool:
    """Say whether the answer says the same things again."""
    sentences = [part.strip().lower() for part in re.split(r"(?<=[.!?。])\s+|\n+", answer)]
    sentences = [sentence for sentence in sentences if word_count(sentence) > 3]
    words = [word.lower() for word in _WORD.findall(answer)]
    runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    repeated = 1 - len(set(runs)) / len(runs) if runs else 0.0
    return len(set(sentences)) < len(sentences) or repeated > MOST_REPEATED


def is_in_band(answer: str, reference: str) -> bool:
    """Say whether the answer is neither too short nor too long."""
    shortest = min(SHORTEST, word_count(reference) // 2) if reference else SHORTEST
    return max(1, shortest) <= word_count(answer) <= LONGEST
