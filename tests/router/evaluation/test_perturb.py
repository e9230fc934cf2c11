import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.evaluation import perturb
from router.features.featurize import RouteQuery, Turn
from router.training.dataset import Row

WORDS = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=12), min_size=1, max_size=40)


@pytest.mark.parametrize("name", perturb.CHANGES)
def test_changes_keep_the_request_but_for_letters(name: str) -> None:
    text = "Please explain the causes of the long winter?"
    after = perturb.CHANGES[name](text, np.random.default_rng(1))
    assert after != text and abs(len(after) - len(text)) < 60


@pytest.mark.parametrize(
    ("name", "after"),
    [("lower case", "why? ask it."), ("upper case", "WHY? ASK IT."), ("no final mark", "Why? Ask It")],
)
def test_what_a_change_does_to_the_letters(name: str, after: str) -> None:
    assert perturb.CHANGES[name]("Why? Ask It.", np.random.default_rng(0)) == after


@given(WORDS, st.integers(0, 2**32))
def test_a_typo_spares_all_but_one_long_word_in_eight(words: list[str], seed: int) -> None:
    after = perturb.typo(" ".join(words), np.random.default_rng(seed)).split(" ")
    assert len(after) == len(words)
    changed = [(one, other) for one, other in zip(words, after, strict=True) if one != other]
    assert len(changed) <= max(1, len(words) // perturb.TYPO_EVERY)
    assert all(len(one) >= perturb.SHORTEST and abs(len(one) - len(other)) <= 2 for one, other in changed)


@given(st.text(), st.integers(0, 2**32))
def test_politeness_leaves_the_text_as_it_is(text: str, seed: int) -> None:
    after = perturb.wrapped(text, np.random.default_rng(seed))
    opener = next(one for one in perturb.OPENERS if after.startswith(one))
    closer = next(one for one in perturb.CLOSERS if after.endswith(one))
    assert after == opener + text + closer


@given(st.text(), st.sampled_from(sorted(perturb.CHANGES)))
def test_any_text_survives_any_change_and_the_same_seed_gives_the_same(text: str, name: str) -> None:
    first, second = (perturb.seeded(perturb.CHANGES[name], np.random.default_rng(5))(text) for _ in range(2))
    assert first == second


def test_only_the_newest_user_turn_is_changed() -> None:
    turns = (Turn("user", "One"), Turn("assistant", "Two"), Turn("user", "Three"), Turn("assistant", "Four"))
    row = Row("s", RouteQuery(turns), ("coder",))
    after = perturb.changed(row, str.upper)
    assert [turn.text for turn in after.query.turns] == ["One", "Two", "THREE", "Four"]
    assert row.query.turns == turns


def test_a_row_without_a_user_turn_stays_as_it_is() -> None:
    row = Row("s", RouteQuery((Turn("system", "Be brief"),)), ("coder",))
    assert perturb.changed(row, str.upper) == row
