"""Reads documents into parts: plain text, Markdown, HTML, PDF, and JSON lines of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from experts.retrieval.cut import Part

_HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_FENCE: Final = re.compile(r"\s*(```|~~~)")
_UNSEEN: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "nav", "footer"})
_BLOCKS: Final = frozenset((
    "p", "div", "li", "dt", "dd", "td", "th", "tr", "table", "ul", "ol", "dl", "section", "article", "aside", "main",
    "header", "blockquote", "pre", "figcaption", "br", "hr",
))  # fmt: skip
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}


class UnreadableFile(Exception):
    """A document cannot be read; the message says why, without its text."""


def parts_of(path: Path) -> list[Part]:
    """Read a document.

    Raises:
        UnreadableFile: it cannot be read, or is of a kind that is not.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"{path}: only {', '.join(READERS)} are read")
    try:
        return list(reader(path))
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or type(error).__name__}") from error


def plain_parts(text: str) -> Iterator[Part]:
    """Take a text apart at empty lines."""
    held: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip():
            first = first if held else number
            held.append(line.rstrip())
        elif held:
            yield Part("\n".join(held), line=first)
            held = []


def markdown_parts(text: str) -> Iterator[Part]:
    """Take Markdown apart at empty lines and headings; code between fences stays whole."""
    above: dict[int, str] = {}
    held: list[str] = []
    first, is_code = 1, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_code ^= bool(_FENCE.match(line))
        heading = None if is_code else _HEADING.fullmatch(line)
        if heading is None and (line.strip() or is_code):
            first = first if held else number
            held.append(line.rstrip())
            continue
        if held:
            yield Part("\n".join(held).rstrip(), line=first, title=_title(above))
            held = []
        if heading is not None:
            level = len(heading[1])
            above = {depth: words for depth, words in above.items() if depth < level} | {level: heading[2]}
    if held:
        yield Part("\n".join(held).rstrip(), line=first, title=_title(above))


def _title(above: Mapping[int, str]) -> str:
    return " › ".join(above[level] for level in sorted(above))


class _Html(HTMLParser):
    """Collects the parts of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[Part] = []
        self._above: dict[int, str] = {}
        self._words: list[str] = []
        self._line = 1
        self._unseen: list[str] = []
        self._heading = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self.end_block()
            self._heading = _HEADINGS.get(tag, self._heading)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            while self._unseen.pop() != tag:
                pass
        elif tag in _HEADINGS or tag in _BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if not self._unseen and data.strip():
            self._line = (
                self._line if self._words else self.getpos()[0] + data[: len(data) - len(data.lstrip())].count("\n")
            )
            self._words.append(data)
        elif self._words:
            self._words.append(data)

    def end_block(self) -> None:
        """Close the block that has been read so far."""
        text = " ".join("".join(self._words).split())
        self._words = []
        level, self._heading = self._heading, 0
        if level and text:
            self._above = {depth: words for depth, words in self._above.items() if depth < level} | {level: text}
        elif text:
            self.parts.append(Part(text, line=self._line, title=_title(self._above)))


def html_parts(text: str) -> Iterator[Part]:
    """Take a page apart at its blocks; what nobody reads of it (scripts, navigation) is left out."""
    page = _Html()
    page.feed(text)
    page.close()
    page.end_block()
    yield from page.parts


def _pdf_parts(path: Path) -> Iterator[Part]:
    try:
        from pypdf import PdfReader  # noqa: PLC0415  # only who has PDFs needs it
        from pypdf.errors import PyPdfError  # noqa: PLC0415
    except ImportError:
        raise UnreadableFile(f"{path}: PDFs need: pip install 'moegate[retrieval]'") from None
    try:
        with PdfReader(path) as document:
            for number, page in enumerate(document.pages, 1):
                for part in plain_parts(page.extract_text()):
                    yield Part(part.text, place=f"page {number}")
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFile(f"{path}: no PDF that can be read: {type(error).__name__}") from error


def _jsonl_parts(path: Path) -> Iterator[Part]:
    """Read rows of `text` (or `content`) and, if they have one, `title`."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = row.get("text", row.get("content"))
            title = row.get("title") or ""
        except (ValueError, AttributeError):
            raise UnreadableFile(f"{path}:{number}: not a JSON object") from None
        if not isinstance(text, str) or not isinstance(title, str):
            raise UnreadableFile(f"{path}:{number}: 'text' is to be a text, and so is 'title' where there is one")
        yield Part(text, place=f"row {number}", title=title)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path}: not UTF-8") from None


READERS: Final[Mapping[str, Callable[[Path], Iterator[Part]]]] = {
    ".txt": lambda path: plain_parts(_text(path)),
    ".md": lambda path: markdown_parts(_text(path)),
    ".html": lambda path: html_parts(_text(path)),
    ".htm": lambda path: html_parts(_text(path)),
    ".pdf": _pdf_parts,
    ".jsonl": _jsonl_parts,
}
"""Readers by a file's ending."""
