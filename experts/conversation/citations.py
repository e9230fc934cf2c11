"""Citations in an answer over documents: `[n]` stays in the text, and an annotation says what it points to.

`experts.conversation.answer` sends the text of every answer whose request had documents through a `CitationReader`, in
pieces of any size. Only a beginning such as `[12` is held back until its end. An `[n]` that names no document is
removed and counted. Code (in fences or backticks) is left alone, because `words[0]` is no citation. So is a number of
more than three digits, such as a year.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from protos.chat_pb2 import Annotation, Document

_TOKEN: Final = re.compile(r"\[([0-9]{1,3})\]|(`+)|(\n)|[^\[`\n]+|\[")
_UNFINISHED: Final = re.compile(r"(?:\[[0-9]{0,3}|`+)\Z")
_FENCE: Final = 3  # backticks that begin or end a block of code


class CitationReader:
    """Reads one answer.

    Attributes:
        annotations: the citations so far, in the text's order.
        dropped: citations taken out because they named no document.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._held = ""
        self._length = 0  # code points of the text that has left
        self._code = ""  # the backticks that the code we are in began with; empty outside
        self.annotations: list[Annotation] = []
        self.dropped = 0

    def push(self, text: str) -> str:
        """Take more text; return what may leave."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        return self._read(text[:end])

    def close(self) -> str:
        """Return what was held back, once the text has ended."""
        held, self._held = self._held, ""
        return self._read(held)

    def _read(self, text: str) -> str:
        return "".join(map(self._token, _TOKEN.finditer(text)))

    def _token(self, match: re.Match[str]) -> str:
        number, ticks, line_break = match.groups()
        kept = match.group()
        if ticks:
            self._mark(ticks)
        elif line_break and len(self._code) < _FENCE:
            self._code = ""  # a lone backtick reaches no further than its line
        elif number and not self._code:
            kept = self._cite(int(number), kept)
        self._length += len(kept)
        return kept

    def _mark(self, ticks: str) -> None:
        """Enter or leave code."""
        is_block = len(self._code) >= _FENCE
        is_end = len(ticks) >= len(self._code) if is_block else ticks == self._code
        if not self._code:
            self._code = ticks
        elif is_end:
            self._code = ""

    def _cite(self, number: int, text: str) -> str:
        if not 1 <= number <= len(self._documents):
            self.dropped += 1
            return ""
        document = self._documents[number - 1]
        start = self._length
        self.annotations.append(
            Annotation(
                start_index=start,
                end_index=start + len(text),
                document=number,
                title=document.title,
                url=document.url,
            )
        )
        return text
