import pytest

from router.policy.follow_ups import LEANING, LEANING_WIDE, MORE, POLITE
from router.policy.sticky import SHORT_INERTIA, STAYS, text_inertia

EDGES = " \t\n.,;:!?…¿¡。！？、，\"'"


@pytest.mark.parametrize("phrase", sorted(MORE))
def test_every_turn_that_asks_for_more_stays_however_it_is_written(phrase: str) -> None:
    assert text_inertia(phrase) == STAYS
    assert text_inertia(f"  {phrase.capitalize()}!") == STAYS
    assert text_inertia(f"ok, {phrase} please?") == STAYS


@pytest.mark.parametrize("word", sorted(POLITE))
def test_a_polite_word_alone_stays(word: str) -> None:
    assert text_inertia(f"{word.upper()}.") == STAYS


@pytest.mark.parametrize("word", sorted(LEANING | set(LEANING_WIDE)))
def test_a_short_turn_that_begins_with_a_leaning_word_clings(word: str) -> None:
    assert text_inertia(f"{word} Fibonacci?") == SHORT_INERTIA


def test_phrases_are_folded_as_turns_are() -> None:
    """One that is not could never be met."""
    for phrase in (*MORE, *POLITE, *LEANING, *LEANING_WIDE):
        assert phrase == phrase.casefold()
        assert all(word == word.strip(EDGES) for word in phrase.split())
        assert "  " not in phrase


def test_new_requests_are_none_of_them() -> None:
    asked = ("who was the first emperor of rome", "write a poem about my cat", "solve x + 1 = 2 for me")
    assert not MORE & set(asked)
    assert all(text_inertia(text) < STAYS for text in asked)
