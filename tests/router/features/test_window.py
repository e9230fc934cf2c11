import pytest

from router.features.window import HEAD_CHARS, LONG_WORDS, TAIL_CHARS, opening_of, split_window

PASSAGE = "Kenya's long rains fall from March to May and feed the rivers of the highlands. " * 8


@pytest.mark.parametrize(
    "text",
    [
        f"When do the rains fall?\n\nUse these sources:\n(1) {PASSAGE}\n(2) more about rain",
        f"Context:\n{PASSAGE}\n\nWhen do the rains fall?",
        f'"""{PASSAGE}"""\nWhen do the rains fall?',
        f"<doc>{PASSAGE}</doc>\nWhen do the rains fall?",
        f"{PASSAGE}\n\nWhen do the rains fall?",
    ],
)
def test_pasted_text_is_set_apart_from_the_question(text: str) -> None:
    window = split_window(text)
    assert "when do the rains fall?" in window.own
    assert "highlands" not in window.own
    assert "highlands" in window.document


def test_a_prompt_that_is_all_paste_is_read_as_the_users_own() -> None:
    assert "highlands" in split_window(f'"""{PASSAGE}"""').own


def test_the_window_keeps_both_ends_and_its_cap() -> None:
    window = split_window("first " + "middle\n" * 100_000 + " last")
    assert window.own.startswith("first") and window.own.endswith("last")
    assert len(window.own) <= HEAD_CHARS + TAIL_CHARS + 1
    assert window.length > 600_000


def test_forms_and_case_are_folded() -> None:
    assert split_window("ＨＥＬＬＯ Ⅳ").own == "hello iv"


def test_a_long_turn_begins_with_ten_words_as_they_were_typed() -> None:
    asked = "Please write\n a speech out of these notes for me"
    assert opening_of(f"  {asked} now" + " word" * LONG_WORDS) == asked


@pytest.mark.parametrize(("words", "is_long"), [(LONG_WORDS - 1, False), (LONG_WORDS, True), (1_000_000, True)])
def test_only_a_long_turn_has_an_opening(words: int, is_long: bool) -> None:
    assert (opening_of(" ".join(["word"] * words)) is not None) is is_long


def test_one_endless_word_has_no_opening() -> None:
    assert opening_of("x" * 1_000_000) is None
