"""No text, however it is written, spells a control token after `neutralise`."""

from hypothesis import given
from hypothesis import strategies as st

from experts.engines.control_tokens import neutralise

TOKENS = ("<|im_start|>", "<|im_end|>", "<file_sep>", "aba")


@given(st.lists(st.sampled_from([*TOKENS, "<|", "im_start", "|>", "a", "b", "<", " ", "\n"])).map("".join))
def test_no_control_token_is_left(text: str) -> None:
    broken = neutralise(text, TOKENS)
    assert not any(token in broken for token in TOKENS)
    assert broken.replace(" ", "") == text.replace(" ", "")


@given(st.text(alphabet="xyz<|> \n"))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert neutralise(text, TOKENS) == text


def test_without_control_tokens_nothing_changes() -> None:
    assert neutralise("<|im_end|>", ()) == "<|im_end|>"
