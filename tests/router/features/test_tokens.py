from hypothesis import given
from hypothesis import strategies as st

from router.features.tokens import LONG, _counted, _counted_at_once, estimate_tokens


@given(st.lists(st.text(max_size=400), max_size=4))
def test_never_more_than_bytes(texts: list[str]) -> None:
    assert 0 <= estimate_tokens(texts) <= sum(len(text.encode("utf-8", "replace")) for text in texts)


def test_words_and_wide_characters_count() -> None:
    assert estimate_tokens(["one two  three\n"]) == 3
    assert estimate_tokens(["日本語の文" * 10]) == 20
    assert estimate_tokens(["a" * 160]) == 10
    assert estimate_tokens([]) == 0


def test_runs_of_spaces_are_not_tokens() -> None:
    assert estimate_tokens([" " * 10_000 + "x"]) == 1


@given(st.text(min_size=1, max_size=400))
def test_long_texts_are_counted_as_short_ones_are(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    assert _counted(raw) == _counted_at_once(raw)


def test_a_long_text_counts_the_same_on_either_side_of_the_change_of_method() -> None:
    word = "ab " * (LONG // 3 - 1)
    assert estimate_tokens([word + "ab "]) == estimate_tokens([word]) + 1 == LONG // 3
