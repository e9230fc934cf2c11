"""What a run has used up: added over sessions, kept in checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.training.spent import Spent, keep_spent, read_spent

AMOUNTS = st.builds(Spent, *[st.integers(0, 10**9).map(float)] * 4)


@given(AMOUNTS, AMOUNTS)
def test_sessions_add_up_each_kind_by_itself(one: Spent, other: Spent) -> None:
    both = one + other
    assert both == other + one
    assert both + Spent() == both
    assert both.tokens == one.tokens + other.tokens
    assert (both.load_s, both.train_s, both.save_s) == (
        one.load_s + other.load_s,
        one.train_s + other.train_s,
        one.save_s + other.save_s,
    )


def test_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    spent = Spent(1234.5, 1.0, 20.25, 3.0)
    keep_spent(tmp_path, spent)
    assert read_spent(tmp_path) == spent
    keep_spent(tmp_path, spent + spent)
    assert read_spent(tmp_path).tokens == 2469.0


def test_a_new_run_has_used_up_nothing(tmp_path: Path) -> None:
    assert read_spent(None) == read_spent(tmp_path) == Spent()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "7",
        "null",
        '{"tokens": "many"}',
        '{"tokens": null}',
        '{"tokens": [1]}',
        '{"watts": 5}',
        "\ud83d",
    ],
)
def test_a_note_that_cannot_be_read_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "spent.json").write_text(content, errors="surrogatepass")
    assert read_spent(tmp_path) == Spent()


def test_a_note_of_an_older_version_counts_for_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_text(json.dumps({"tokens": 5}))
    assert read_spent(tmp_path) == Spent(tokens=5.0)
