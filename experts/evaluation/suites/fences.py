"""Fenced code blocks of an answer, after CommonMark 0.31 section 4.5.

The code suite takes the program out of the first one; the coder is taught to give exactly one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_LINE_END = re.compile(r"\r\n|\n|\r")  # no others, section 2.1: a string in a program may hold U+2028


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    info: str  # what stands behind the opening fence: the language
    code: str
    is_closed: bool


def fenced_blocks(answer: str) -> list[Block]:
    """Return every fenced block, in order; one that is never closed reaches to the end."""
    blocks: list[Block] = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in _lines(answer):
        fence = _FENCE.match(line)
        if opening is None:
            if fence and not ("`" in fence["info"] and fence["mark"][0] == "`"):
                opening, lines = fence, []
        elif fence and _closes(fence, opening):
            blocks.append(Block(opening["info"].strip(), "\n".join(lines), True))
            opening = None
        else:
            lines.append(_outdented(line, len(opening["indent"])))
    return [*blocks, Block(opening["info"].strip(), "\n".join(lines), False)] if opening else blocks


def _lines(text: str) -> list[str]:
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def _outdented(line: str, most: int) -> str:
    """Take away as many spaces as stood before the opening fence, or as many as there are."""
    return line[min(most, len(line) - len(line.lstrip(" "))) :]


def _closes(fence: re.Match[str], opening: re.Match[str]) -> bool:
    same = fence["mark"][0] == opening["mark"][0] and len(fence["mark"]) >= len(opening["mark"])
    return same and not fence["info"].strip()
