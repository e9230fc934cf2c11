"""What a prompt looks like: a probe that is not asked would have found nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.structure import PROBES, measures

CLUES = (
    "def f(x):", "return", "println", "SELECT a FROM b", "```", "x = 1;", "    indented", "\tindented", "f(x)",
    "a/b", "--flag", "snake_case", "camelCase", "Traceback", "Error: no", "at a.b(", "main.py", '{"key": 1}',
    "3.14", "$5", "5 %", "1 + 1", "x = 3", "a) one", "b) two", "E. five", "- item", "1. item", "(1) passage",
    "[2] passage", '"a long quotation"', "Dear Sir,", "why?", "yes;", "wow!", "in Paris", "\n", " ",
    "plain words", "\x1f", "\x7f", "",
)  # fmt: skip


@given(st.lists(st.sampled_from(CLUES) | st.text(st.characters(max_codepoint=127), max_size=6), max_size=12))
def test_what_is_not_searched_for_is_not_there(parts: list[str]) -> None:
    for text in ("".join(parts), " ".join(parts), "\n".join(parts)):
        assert measures(text) == [probe.measure(text) for probe in PROBES.values()]


@pytest.mark.parametrize("name", [name for name, probe in PROBES.items() if probe.needs])
def test_every_guarded_probe_can_fire(name: str) -> None:
    at = list(PROBES).index(name)
    assert any(measures(text)[at] for text in (*CLUES, "a) one\nb) two", "we saw Paris"))


def test_other_scripts_are_measured_in_full() -> None:
    found = dict(zip(PROBES, measures("日本語？ ١٢٣"), strict=True))
    assert found["question marks"] and found["any number"] and found["wide script"] and found["non-ascii"]
