"""Citations stay where they are and are told beside the text; those of no document go."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.citations import CitationReader
from protos.chat_pb2 import Annotation, Document

DOCUMENTS = [Document(title=f"T{n}", text="x", url=f"https://d{n}.example") for n in range(1, 13)]


def read(parts: Iterable[str], documents: list[Document] = DOCUMENTS) -> tuple[str, list[Annotation], int]:
    reader = CitationReader(documents)
    text = "".join([reader.push(part) for part in parts]) + reader.close()
    return text, reader.annotations, reader.dropped


TEXTS = {
    "plain": ("No citation [here], a[b] [ ] [-1] [1a].", "No citation [here], a[b] [ ] [-1] [1a].", [], 0),
    "one": ("Rain [1].", "Rain [1].", [1], 0),
    "several": ("Rain [1][12]. Snow [2] é😀 [3]", "Rain [1][12]. Snow [2] é😀 [3]", [1, 12, 2, 3], 0),
    "out of range": ("Rain [0][13] and [1] [999].", "Rain  and [1] .", [1], 3),
    "a year": ("In [2024] it rained [1].", "In [2024] it rained [1].", [1], 0),
    "unfinished": ("Rain [1", "Rain [1", [], 0),
    "brackets": ("[[1]] [[ [", "[[1]] [[ [", [1], 0),
    "code line": ("Take `words[0]` [1].", "Take `words[0]` [1].", [1], 0),
    "code block": (
        "```py\nx = a[0]\ny = `b[77]`\n```\nDone [1][99].",
        "```py\nx = a[0]\ny = `b[77]`\n```\nDone [1].",
        [1],
        1,
    ),
    "a lone backtick": ("It's ` odd [0]\nand [99] then [1]", "It's ` odd [0]\nand  then [1]", [1], 1),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_however_it_was_cut(name: str) -> None:
    said, kept, numbers, dropped = TEXTS[name]
    for parts in ([said], list(said), *([said[:at], said[at:]] for at in range(len(said)))):
        text, annotations, gone = read(parts)
        assert (text, [found.document for found in annotations], gone) == (kept, numbers, dropped)
        for found in annotations:
            assert text[found.start_index : found.end_index] == f"[{found.document}]"
            assert (found.title, found.url) == (f"T{found.document}", f"https://d{found.document}.example")


def test_only_a_beginning_waits() -> None:
    reader = CitationReader(DOCUMENTS)
    assert [reader.push(part) for part in ("Rain [", "1", "] falls", " [no", "te] [1234")] == [
        "Rain ",
        "",
        "[1] falls",
        " [no",
        "te] [1234",
    ]


@given(st.text(alphabet="[]0123 `\na", max_size=40), st.integers(1, 6), st.integers(0, 12))
def test_any_text_any_cut(said: str, size: int, count: int) -> None:
    documents = DOCUMENTS[:count]
    cut = read([said[at : at + size] for at in range(0, len(said), size)], documents)
    assert cut == read([said], documents)
    text, annotations, dropped = cut
    assert len(text) + sum(map(len, re.findall(r"\[[0-9]{1,3}\]", said))) >= len(said)
    assert dropped or text == said
    assert all(1 <= found.document <= count for found in annotations)
