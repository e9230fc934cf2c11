import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.conversation import MAX_USER_TURNS, Turn, shares, thread_of


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_shares_are_a_whole_of_one(leans: list[float]) -> None:
    found = shares(len(leans), lambda at: leans[at])
    assert sum(found) == pytest.approx(1.0)
    assert all(share >= 0 for share in found) and len(found) <= len(leans)


def test_a_turn_that_stands_alone_is_all_there_is() -> None:
    assert shares(3, lambda at: 0.0) == [1.0]


def test_a_chain_of_follow_ups_reaches_back_to_its_beginning() -> None:
    assert shares(3, lambda at: 1.0) == [0.0, 0.0, 1.0]


def test_a_thread_knows_code_and_tools_since_the_turn_before() -> None:
    turns = [
        Turn("user", "sort it"),
        Turn("assistant", "```python\nsorted(x)\n```"),
        Turn("user", "and the weather?"),
        Turn("tool", "{}"),
        Turn("assistant", "fine"),
        Turn("user", "tomorrow?"),
    ]
    thread = thread_of(turns)
    assert thread.said == ("tomorrow?", "and the weather?", "sort it")
    assert thread.used_tools and not thread.answered_in_code and thread.answer == "fine"
    assert thread_of(turns[:3]).answered_in_code and thread_of(turns[:3]).answer.startswith("```python")
    assert thread_of(turns[:1]).answer == ""


def test_long_conversations_and_empty_ones_are_bounded() -> None:
    assert thread_of([]).said == ("",)
    assert len(thread_of([Turn("user", str(at)) for at in range(500)]).said) == MAX_USER_TURNS
