"""The capped text window: which of a prompt's characters routing reads, and which of them are the user's own words.

`features.featurize` calls `split_window` once a query. Text that was pasted (fenced code, quotations, tagged or
announced documents, long paragraphs beside a short request) is set apart, so that what a document says does not steer
the choice as much as what the user asks.
"""

import re
import unicodedata
from dataclasses import dataclass, replace

from router.features.jailbreak import undress
from router.features.no_code import strike
from router.features.politeness import unwrap

HEAD_CHARS, TAIL_CHARS = 1_200, 400  # of the user's own words
SCAN_HEAD, SCAN_TAIL = 4_000, 1_500  # what is split at all
DOCUMENT_CHARS = 600
PREVIOUS_CHARS = 400
LONG_WORDS, OPENING_WORDS = 40, 10  # a turn of so many words is also read by its first ones alone
LONG_LINE = 350  # a line longer than this, beside a shorter request, was pasted

_OPENING = re.compile(rf"\s*(?:\S+\s+){{{OPENING_WORDS - 1}}}\S+")
_PASTED = re.compile(r'```.*?(?:```|\Z)|"""(?:.{80,}?)"""|<(\w{2,20})>.{80,}?</\1>', re.DOTALL)
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)  # code that the user gives is theirs; a document is not
_ANNOUNCED = re.compile(
    r"\b(sources?|context|passages?|documents?|articles?|text|excerpts?|transcript|paragraph|report|abstract|contract|notes|minutes)\b"
    r"[^\n]{0,40}:\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Window:
    """The text routing reads, normalised and capped.

    Attributes:
        own: the last user turn without what was pasted, lower case.
        document: the head of what was pasted, lower case.
        previous: the head of the user turn before, lower case.
        raw: the scanned part of the last user turn as typed, without documents; structure is read from it.
        length: characters of the whole last user turn, uncapped.
        no_code: the user says that no code is wanted; the phrase itself is not among their own words.
    """

    own: str
    document: str
    previous: str
    raw: str
    length: int
    no_code: bool = False

    def with_previous(self, previous: str) -> "Window":
        """Return the same window with the user turn before it."""
        return replace(self, previous=previous)


def split_window(text: str) -> Window:
    """Cut a user turn of any length down to the window."""
    text = unwrap(text)
    raw = ends(text, SCAN_HEAD, SCAN_TAIL)
    said, document = _split(raw)
    own = undress(said)
    if not own.strip():
        own, document = document, ""
    own, no_code = strike(own)
    return Window(
        own=normalise(ends(own, HEAD_CHARS, TAIL_CHARS)),
        document=normalise(document[:DOCUMENT_CHARS]),
        previous="",
        raw="\n".join([own, *_FENCED.findall(raw)]) if document or own is not said else raw,
        length=len(text),
        no_code=no_code,
    )


def opening_of(text: str) -> str | None:
    """Cut out the first words of a long user turn, where people mostly say what they want; None of a shorter one."""
    head = text[:SCAN_HEAD]
    if len(head.split(maxsplit=LONG_WORDS)) < LONG_WORDS:
        return None
    found = _OPENING.match(head)
    return found.group().strip() if found else None


def own_words(text: str) -> str:
    """Cut out of a user turn what its writer says, a jailbreak's wrapper included."""
    own, document = _split(ends(text, SCAN_HEAD, SCAN_TAIL))
    return own if own.strip() else document


def ends(text: str, head: int, tail: int) -> str:
    """Keep the first `head` and the last `tail` characters."""
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"


def normalise(text: str) -> str:
    """Fold compatibility forms and case; the length is capped again because NFKC can make text 18 times longer."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)[: 2 * (HEAD_CHARS + TAIL_CHARS)]
    return folded.lower()


def _split(raw: str) -> tuple[str, str]:
    """Part the user's own words from what was pasted."""
    pasted: list[str] = []

    def take(match: re.Match[str]) -> str:
        pasted.append(match.group())
        return "\n"

    rest = _PASTED.sub(take, raw) if any(mark in raw for mark in ("```", '"""', "</")) else raw
    if len(rest) < LONG_LINE and "\n" not in rest:
        return rest, "\n".join(pasted)
    own, documents = _split_lines(rest.split("\n"))
    return "\n".join(own), "\n".join(pasted + documents)


def _split_lines(lines: list[str]) -> tuple[list[str], list[str]]:
    """Sort lines: announced ones ("Use these sources:") and over-long ones are documents; a short last one is not."""
    last = max((at for at, line in enumerate(lines) if line.strip()), default=0)
    short_exists = any(0 < len(line.strip()) <= LONG_LINE for line in lines)
    own: list[str] = []
    documents: list[str] = []
    announced = False
    for at, line in enumerate(lines):
        is_request = at == last and at > 0 and not lines[at - 1].strip() and len(line) <= LONG_LINE
        is_long = short_exists and len(line) > LONG_LINE
        (documents if (announced and not is_request) or is_long else own).append(line)
        announced = announced or (line.rstrip().endswith(":") and _ANNOUNCED.search(line[-160:]) is not None)
    return own, documents
