import pytest

from router.features.window import HEAD_CHARS, TAIL_CHARS, split_window

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
