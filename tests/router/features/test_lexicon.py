import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.lexicon import DEFAULT_PATH, MAX_CONCEPTS, concept_families, concepts_of, name_concepts


@pytest.mark.parametrize(
    "text",
    [
        "write me a poem",
        "schreib mir ein gedicht",
        "escribe un poema",
        "напиши стихотворение",
        "写一首诗",
        "詩を書いて",
    ],
)
def test_one_meaning_in_many_languages_is_one_set_of_concepts(text: str) -> None:
    assert {"WRITE", "POEM"} <= set(concepts_of(text))


@given(st.text(max_size=2_000))
def test_any_text_gives_bounded_concepts(text: str) -> None:
    assert len(concepts_of(text)) <= MAX_CONCEPTS


def test_order_tells_concepts_apart() -> None:
    one, other = (
        {int(code) for hashes, _ in concept_families(pair) for code in hashes} for pair in (["A", "B"], ["B", "A"])
    )
    assert one & other and one != other


def test_concepts_can_be_named_again() -> None:
    assert {"WRITE", "POEM", "WRITE→POEM", "^WRITE"} <= set(name_concepts(["WRITE", "POEM"]).values())


def test_the_table_stays_small() -> None:
    assert DEFAULT_PATH.stat().st_size < 120_000
