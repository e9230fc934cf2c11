"""Which documents are shown: those nearest to the question, in their own order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.ranking import best, terms
from protos.chat_pb2 import Document

TOWN = [
    Document(title="Harbour", text="The harbour of Varn was dug in 1702."),
    Document(title="Lighthouse", text="The lighthouse of Varn was built in 1867 and is painted green."),
    Document(title="School", text="Varn has a school with 300 pupils."),
    Document(title="Market", text="On Saturdays there is a market for fish and cheese."),
    Document(title="Church", text="The church has two bells."),
]


@pytest.mark.parametrize(
    ("question", "nearest"),
    [
        ("When was the lighthouse built?", 1),
        ("How many pupils go to the school of Varn?", 2),
        ("What is sold on the market?", 3),
        ("How many bells does the church have?", 4),
        ("Who was digging the harbour?", 0),
        ("LIGHTHOUSES painted GREEN", 1),
    ],
)
def test_the_document_that_shares_rare_words_comes_first(question: str, nearest: int) -> None:
    assert best(question, TOWN, 1) == [nearest]
    assert nearest in best(question, TOWN, 3)


def test_those_chosen_keep_their_order() -> None:
    assert best("the lighthouse, the market and the bells of the church", TOWN, 3) == [1, 3, 4]


@pytest.mark.parametrize(
    ("question", "texts", "nearest"),
    [
        ("富士山の高さは", ["琵琶湖は日本で一番大きい湖です", "富士山は高さ三七七六メートルです"], 1),
        ("战国无双是谁开发的", ["北京是首都", "战国无双由光荣开发"], 1),
        ("Wann wurde der Leuchtturm gebaut?", ["Der Markt ist am Samstag.", "Den Leuchtturm baute man 1867."], 1),
        ("Когда построили маяк?", ["Рынок работает по субботам.", "Маяк построен в 1867 году."], 1),
        ("ประเทศไทยมีเมืองหลวงชื่ออะไร", ["แมวชอบนอน", "กรุงเทพเป็นเมืองหลวงของประเทศไทย"], 1),
        ("متى بنيت المنارة", ["السوق يوم السبت", "المنارة بنيت عام 1867"], 1),
    ],
)
def test_other_languages_are_ranked_as_well(question: str, texts: list[str], nearest: int) -> None:
    assert best(question, [Document(text=text) for text in texts], 1) == [nearest]


def test_a_question_without_words_shows_the_first_ones() -> None:
    assert best("?!", TOWN, 2) == [0, 1]
    assert best("", [Document(), Document(), Document()], 2) == [0, 1]


def test_titles_count() -> None:
    assert best("Zebra", [Document(title="Lion", text="It runs."), Document(title="Zebra", text="It runs.")], 1) == [1]


def test_endings_do_not_matter_and_unspaced_scripts_fall_into_pairs() -> None:
    assert terms("Building buildings") == terms("builder BUILDS") == ["buil", "buil"]
    assert terms("富士山") == ["富士", "士山"]


@given(st.text(max_size=60), st.lists(st.text(max_size=80), max_size=12), st.integers(1, 12))
def test_any_texts_give_positions_in_order_and_no_more_than_wanted(question: str, texts: list[str], most: int) -> None:
    found = best(question, [Document(text=text) for text in texts], most)
    assert found == sorted(set(found))
    assert len(found) == min(most, len(texts))
    assert all(0 <= at < len(texts) for at in found)


def test_meaning_counts_beside_the_words() -> None:
    question = "Where do ships come in?"  # shares no word with any
    assert best(question, TOWN, 1, [0.9, 0.2, 0.1, 0.3, 0.0]) == [0]
    assert best("When was the lighthouse built?", TOWN, 1, [0.3, 0.2, 0.1, 0.3, 0.3]) == [1], "words that are sure win"
    assert best("the bells", TOWN, 2, [0.9, 0.1, 0.1, 0.1, 0.1]) == [0, 4]


@pytest.mark.parametrize("nearness", [[], [0.5], [0.1] * 6, [0.5] * 5])
def test_nearness_that_tells_nothing_changes_nothing(nearness: list[float]) -> None:
    assert best("How many bells does the church have?", TOWN, 1, nearness) == [4]
