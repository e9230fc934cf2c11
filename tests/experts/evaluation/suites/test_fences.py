"""Fenced code as CommonMark reads it; another implementation of it judges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from experts.evaluation.suites.fences import Block, fenced_blocks

LINES = st.lists(
    st.sampled_from(
        [
            "```",
            "````",
            "  ```",
            "   ~~~",
            "~~~~",
            "```py",
            "``` a b ",
            "~~~ `x`",
            "```a`b",
            "``",
            "word",
            "",
            "  x",
            " y",
            "```  ",
            "~~~x",
        ]
    ),
    max_size=10,
)


def test_fences_follow_commonmark() -> None:
    blocks = fenced_blocks("a\n~~~~py\n```\nx\n```\n~~~~\nb\n   ```\ny\n  ````  \n``` a`b\n```\nz")
    assert [(block.info, block.code, block.is_closed) for block in blocks] == [
        ("py", "```\nx\n```", True),
        ("", "y", True),
        ("", "z", False),
    ]
    assert fenced_blocks("no `code` and    ```indented by four") == []


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_blocks_are_those_of_another_reader(lines: list[str], end: str, is_ended: bool) -> None:
    text = end.join(lines) + end * is_ended
    blocks = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]
    found = fenced_blocks(text)
    assert [block.info for block in found] == [block.info.strip() for block in blocks]
    # The last one may be open, and whether an empty line ends it is a matter of taste.
    assert [block.code.rstrip("\n") for block in found] == [block.content.rstrip("\n") for block in blocks]


def test_code_keeps_its_own_indentation_and_loses_the_fences() -> None:
    [block] = fenced_blocks("  ```python\n  def f():\n      return 1\n ```")
    assert block == Block("python", "def f():\n    return 1", True)


@pytest.mark.parametrize("character", ["\u2028", "\x0c", "\x0b", "\x85", "\x1c"])
def test_a_line_ends_where_commonmark_says(character: str) -> None:
    assert fenced_blocks(f"```\nx = 'a{character}b'\n```") == [Block("", f"x = 'a{character}b'", True)]


def test_an_open_block_reaches_to_the_end() -> None:
    assert fenced_blocks("```py\na\nb") == [Block("py", "a\nb", False)]
    assert fenced_blocks("```py") == [Block("py", "", False)]
