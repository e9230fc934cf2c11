"""Structure features: what a prompt looks like, without reading its words.

`features.featurize` calls `structure` on the window as typed. About thirty numbers near 0..1, one name each; they carry
across languages and sources where words do not, and `explain` prints them by name.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.features.window import DOCUMENT_CHARS, Window

Floats = np.ndarray[Any, np.dtype[np.float32]]
Measure = Callable[[str], float]

_QUESTION_MARKS = "?？؟¿;"
_CODE_SYMBOLS = "{}()[];=<>_/\\|&$#`"
_ENDINGS = "py|js|ts|java|c|cpp|h|rs|go|rb|php|cs|sql|sh|html|css|json|ya?ml|toml|csv|log"  # of files
_DIGITS = "0123456789"
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Probe:
    """One number about a text.

    Attributes:
        measure: makes it, at the cost of a search.
        needs: it is 0 in ASCII text with none of these characters, so `measure` is not asked; None = ask.
    """

    measure: Measure
    needs: frozenset[str] | None


def _probe(measure: Measure, needs: Iterable[str] | None = None) -> Probe:
    return Probe(measure, None if needs is None else frozenset(needs))


def _has(pattern: str, flags: int = 0) -> Measure:
    """Measure 1.0 where the pattern is found."""
    compiled = re.compile(pattern, flags)
    return lambda text: 1.0 if compiled.search(text) else 0.0


def _beside(marks: Sequence[str], measure: Measure) -> Measure:
    """Measure 0.0 without a search where none of the texts occurs of which the pattern needs one."""

    def quick(text: str) -> float:
        for mark in marks:
            if mark in text:
                return measure(text)
        return 0.0

    return quick


def _after(sign: str, measure: Measure) -> Measure:
    """Measure 0.0 where a simple pattern finds nothing without which there can be no match of a costly one."""
    compiled = re.compile(sign)
    return lambda text: measure(text) if compiled.search(text) else 0.0


def _has_each(*patterns: str) -> Measure:
    """Measure 1.0 where every pattern is found, in any order: linear, unlike one pattern with a gap."""
    measures = [_has(pattern) for pattern in patterns]
    return lambda text: min(measure(text) for measure in measures)


def _count(pattern: str, cap: int, flags: int = 0) -> Measure:
    """Measure from 0 to 1 with the number of matches, `cap` and more being 1."""
    compiled = re.compile(pattern, flags)
    return lambda text: min(cap, len(compiled.findall(text))) / cap


def _share(symbols: str) -> Measure:
    """Measure the share of characters out of `symbols`, times five, at most 1."""
    return lambda text: min(1.0, 5.0 * sum(map(text.count, symbols)) / max(1, len(text)))


PROBES: dict[str, Probe] = {
    "ends with a question mark": _probe(
        lambda text: float(text.rstrip()[-1:] in _QUESTION_MARKS and bool(text.strip())), "?;"
    ),
    "question marks": _probe(_count(r"[?？؟¿]", 4), "?"),
    "code fence": _probe(_has(r"```"), "`"),
    "code keywords": _probe(
        _count(
            r"\b(?:def|import|return|function|const|class|void|public|static|elif|println?|printf|SELECT|FROM|WHERE|struct|lambda|async|await|var|let|fn|impl|int|bool)\b",
            5,
        ),
    ),
    "line ends like code": _probe(
        _count(r"[;{}][ \t]{0,4}$|^[ \t]{0,12}(?:#include|//|/\*|\$ |>>> )|\):[ \t]{0,4}$", 4, re.MULTILINE), ";{}#/$>)"
    ),
    "indented lines": _probe(_beside(("    ", "\t"), _count(r"^(?: {4}|\t)\S", 4, re.MULTILINE))),
    "call or path": _probe(
        _beside(("(", "/", "--"), _count(r"\w\(\w*\)|\b\w+\.\w+\(|(?:^|\s)[./~]?[\w-]+/[\w./-]+|--\w+", 4)),
        "(/-",
    ),
    "identifiers": _probe(_after(r"[a-z][A-Z_]", _count(r"\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b", 4)), "_" + _CAPITALS),
    "stack trace": _probe(
        _beside(
            ("Traceback", "Exception", "(", "rror:", "segfault", "undefined reference"),
            _has(r"Traceback|Exception\b|\bat [\w.$]+\(|[Ee]rror:|segfault|undefined reference"),
        ),
    ),
    "file names": _probe(_after(rf"\.(?:{_ENDINGS})\b", _has(rf"\b[\w-]{{1,40}}\.(?:{_ENDINGS})\b")), "."),
    "code symbols": _probe(_share(_CODE_SYMBOLS), _CODE_SYMBOLS),
    "json-like": _probe(_has(r"\{\s{0,8}\"[^\"\n]{1,60}\"\s{0,4}:"), "{"),
    "numbers": _probe(_count(r"\d{1,20}(?:[.,]\d{1,20}){0,4}", 8), _DIGITS),
    "any number": _probe(_has(r"\d"), _DIGITS),
    "money or percent": _probe(_has(r"[$€£¥₹]\s?\d|\d\s?[%€$£¥]"), "$%"),
    "arithmetic": _probe(
        _beside("-+*/×÷^=<>", _has(r"\d\s{0,3}[-+*/×÷^=]\s{0,3}[\d(]|[a-z]\s{0,3}[=<>]\s{0,3}\d")), _DIGITS
    ),
    "lettered options": _probe(
        _beside(("a.", "A.", "a)", "A)"), _has_each(r"(?:^|\s)\(?[aA][.)]\s", r"(?:^|\s)\(?[bB][.)]\s")), ".)"
    ),
    "many options": _probe(_beside(("e.", "E.", "e)", "E)"), _has(r"(?:^|\n)\(?[Ee][.)]\s")), ".)"),
    "list lines": _probe(_count(r"^[ \t]{0,12}(?:[-*•]|\d+[.)])\s", 6, re.MULTILINE), "-*.)"),
    "numbered passages": _probe(_has(r"^[ \t]{0,12}(?:\(\d+\)|\[\d+\])\s", re.MULTILINE), "(["),
    "quotation": _probe(_has(r"[\"“«„「][^\"”»“」\n]{12,}"), '"'),
    "greeting line": _probe(
        _has(r"^(?:dear|hi|hello|hey)\b[^\n]{0,40},[ \t]{0,4}$", re.IGNORECASE | re.MULTILINE), ","
    ),
    "exclamation": _probe(_has(r"[!！]"), "!"),
    "non-ascii": _probe(lambda text: 0.0 if text.isascii() else 1.0, ()),
    "wide script": _probe(_has(r"[\u2e80-\ud7ff]"), ()),
    "other script": _probe(_has(r"[\u0370-\u1fff]"), ()),
    "capitalised words inside": _probe(_count(r"(?<=[a-z,] )[A-Z][a-z]+", 6), _CAPITALS),
    "lines": _probe(lambda text: min(1.0, text.count("\n") / 20), "\n"),
}
_SCALARS = ("short", "log length", "document share", "asks for no code", "empty", "the answer before held code")
STRUCTURE_NAMES: tuple[str, ...] = (*PROBES, *_SCALARS)
ANSWERED_IN_CODE = len(STRUCTURE_NAMES) - 1  # set by `features`, which sees the conversation
_NUMBERED_PASSAGES = STRUCTURE_NAMES.index("numbered passages")
STRUCTURE_CHARS = 2_000  # probes read the window's two ends, so that no pattern sees more than this


def measures(text: str) -> list[float]:
    """Measure a text by every probe; of ASCII text only what it can hold is searched for."""
    if not text.isascii():
        return [probe.measure(text) for probe in PROBES.values()]
    seen = set(text)
    return [
        0.0 if probe.needs is not None and probe.needs.isdisjoint(seen) else probe.measure(text)
        for probe in PROBES.values()
    ]


def structure(window: Window, document_chars: int = 0) -> Floats:
    """Measure one window; (S,) float32 in `STRUCTURE_NAMES`' order.

    Args:
        window: what the user wrote.
        document_chars: characters of the documents beside the conversation. They look as if they were pasted.
    """
    text = window.raw
    if len(text) > STRUCTURE_CHARS:
        text = f"{text[: STRUCTURE_CHARS - 500]}\n{text[-500:]}"
    length = window.length + document_chars
    pasted = min(DOCUMENT_CHARS, len(window.document) + document_chars)
    split = len(window.own) + pasted
    scalars = (
        1.0 if length <= 24 else 0.0,
        min(1.0, math.log1p(length) / 9.0),
        pasted / split if split else 0.0,
        float(window.no_code),
        0.0 if text.strip() else 1.0,
        0.0,
    )
    dense = np.array([*measures(text), *scalars], dtype=np.float32)
    if document_chars:
        dense[_NUMBERED_PASSAGES] = 1.0
    return dense
