"""The suites by name, and an option that names rows of one."""

import argparse
from pathlib import Path

import pytest

from experts.evaluation.suites.known import ONE_TASK, RIGHT, SUITES, named_rows


def test_every_suite_of_one_task_says_what_makes_an_answer_right() -> None:
    assert RIGHT.keys() == ONE_TASK.keys()
    assert SUITES.keys() == {*ONE_TASK, "mixed"}


def test_rows_are_named_with_their_suite() -> None:
    assert named_rows("coder=code:a=b:c.jsonl", "EXPERT", SUITES) == ("coder", "code", Path("a=b:c.jsonl"))


@pytest.mark.parametrize("text", ["", "coder", "coder=code", "coder=code:", "=code:file", "coder=mixed:file"])
def test_what_names_none_is_refused_with_the_form_and_the_suites(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"say EXPERT=SUITE:FILE, with a suite of chat, code, "):
        named_rows(text, "EXPERT", ONE_TASK)
