"""Outcomes: what a model writes first, and what a client reads of it, wherever the text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.outcomes import MARKS, OutcomeReader, cited_first

ALL = ("call", "ask", "decline", "cited", "unknown")
TOLD = [
    ("[2] 1889", "1889 [2]."),
    ("[2]\n1889.", "1889 [2]."),
    (" [1][3] Yes", "Yes [1][3]."),
    ("[10] Paris. ", "Paris [10]."),
    ("[1] 東京。", "東京 [1]。"),
    ("[4] She did, in 1.5 hours. Then she left", "She did, in 1.5 hours. Then she left [4]."),
    ("<unknown>I don't know: the documents do not say.", "I don't know: the documents do not say."),
    ("<unknown> No lo sé.", "No lo sé."),
    ("<ask>In which city?", "In which city?"),
    ("\n<none>None of the tools can do that.", "None of the tools can do that."),
    ("<ask>", ""),
]
AS_IT_IS = [
    "",
    "  ",
    "1889 [2].",
    "[2]",
    "[2], [3] and [4] agree.",
    "[2]: a list",
    "[1889] is a year",
    "[12",
    "[]",
    "[x] done",
    " " * 9 + "<ask>What?",
    "<asking>",
    "<as",
    "A <none> of it",
    '<tool_call>{"name": "f"}</tool_call>',
    "[1]" * 20 + " much",
]


def read(text: str, cuts: list[int], outcomes: tuple[str, ...] = ALL, *, is_cut: bool = False) -> str:
    reader = OutcomeReader(outcomes)  # type: ignore[arg-type]  # names
    edges = [0, *sorted({cut for cut in cuts if cut < len(text)}), len(text)]
    said = [reader.push(text[start:end]) for start, end in pairwise(edges)]
    return "".join(said) + reader.close(is_cut=is_cut)


@pytest.mark.parametrize(("written", "said"), TOLD)
@given(cuts=st.lists(st.integers(0, 60)))
def test_the_outcome_is_taken_off_and_sources_go_to_the_end(written: str, said: str, cuts: list[int]) -> None:
    assert read(written, cuts) == said
    assert read(written, list(range(len(written)))) == said


@pytest.mark.parametrize("text", AS_IT_IS)
@given(cuts=st.lists(st.integers(0, 60)))
def test_what_is_no_outcome_stays_as_it_is(text: str, cuts: list[int]) -> None:
    assert read(text, cuts) == text


@given(text=st.text("<ask>none[]12 .x\n"), cuts=st.lists(st.integers(0, 30)))
def test_where_the_text_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    assert read(text, cuts) == read(text, [])
    assert read(text, cuts, ()) == text


@pytest.mark.parametrize(("written", "said"), [("[1] It was in", "It was in [1]"), ("[1] Yes.", "Yes [1].")])
def test_an_answer_that_was_cut_gets_its_sources_and_no_full_stop(written: str, said: str) -> None:
    assert read(written, [], is_cut=True) == said


def test_only_the_outcomes_that_were_learnt_are_read() -> None:
    assert read("<ask>What?", [], ("cited", "unknown")) == "<ask>What?"
    assert read("[1] Yes", [], ("ask", "decline")) == "[1] Yes"


def test_nothing_waits_that_decides_nothing() -> None:
    reader = OutcomeReader(ALL)
    assert [reader.push(part) for part in ("[", "2", "]", " The", " end", ".", " Or", " so")] == [
        *("", "", "", "The", " end", "", ". Or", " so"),
    ]
    assert reader.close(is_cut=False) == " [2]."
    assert OutcomeReader(ALL).push("Words") == "Words"


def test_what_recipes_write_is_what_is_read() -> None:
    assert read(cited_first("Yes", [1, 12]), []) == "Yes [1][12]."
    assert all(read(f"{mark}So?", []) == "So?" for mark in MARKS.values())
