import pytest

from router.features.featurize import RouteQuery, Turn, query_from_openai
from router.policy.sticky import BRIEF_INERTIA, SHORT_INERTIA, STAYS, anchor, count_words, inertia_of, text_inertia


def said(*texts: str) -> RouteQuery:
    turns = [Turn("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(texts)]
    return RouteQuery(tuple(turns))


@pytest.mark.parametrize(
    "text",
    ["shorter", "Shorter, please!", "continue", "ok, go on", "thanks", "more", "nochmal", "plus court stp", "¿por qué?",
     "继续", "もっと短く", "короче", "Make it shorter", "  again?? "],
)  # fmt: skip
def test_turns_that_ask_for_more_of_the_same_stay(text: str) -> None:
    assert text_inertia(text) == STAYS


@pytest.mark.parametrize(
    "text", ["and in French?", "in Rust now", "und auf Deutsch?", "y en rojo también?", "只算奇数呢"]
)
def test_short_turns_cling(text: str) -> None:
    assert text_inertia(text) == SHORT_INERTIA


def test_a_turn_of_some_words_clings_less_and_a_long_one_not_at_all() -> None:
    assert text_inertia("Who wrote War and Peace?") == BRIEF_INERTIA
    assert text_inertia("Now write a letter to my landlord about the broken heating") == 1.0
    assert text_inertia("shorter " * 1_000_000) == 1.0


def test_offered_tools_speak_for_themselves() -> None:
    tools = [{"function": {"name": "f"}}]
    assert inertia_of(query_from_openai([{"role": "user", "content": "do it"}], tools)) == 1.0


def test_words_are_counted_in_scripts_without_spaces() -> None:
    assert count_words("two words") == 2
    assert count_words("辛亥革命是哪一年") == 4
    assert count_words("Python 怎么样") == 3
    assert count_words("") == 0


def test_the_anchor_is_the_last_earlier_turn_that_stands_alone() -> None:
    query = said(
        "Write a sort in Rust", "fn ...", "Plan my weekend in Rome", "Sure ...", "shorter", "Ok ...", "continue"
    )
    found = anchor(query)
    assert found is not None
    assert [turn.text for turn in found.turns][-1] == "Plan my weekend in Rome"


def test_no_earlier_user_turn_no_anchor() -> None:
    assert anchor(said("hello")) is None
    assert anchor(RouteQuery(())) is None
    system = RouteQuery((Turn("system", "Be brief."), Turn("user", "hello")))
    assert anchor(system) is None


def test_where_everything_leans_the_first_turn_counts() -> None:
    found = anchor(said("more", "of what?", "continue", "with what?", "again"))
    assert found is not None and found.turns[-1].text == "more"
