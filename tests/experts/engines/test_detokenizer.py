"""Detokenising: exact for every text however its bytes are cut, and never half a character."""

from hypothesis import given
from hypothesis import strategies as st

from experts.engines.detokenizer import Detokenizer, byte_table

BYTES = byte_table({bytes([value]): value for value in range(256)}, frozenset())


@given(st.text(), st.data())
def test_any_cut_gives_the_text_back(text: str, data: st.DataObject) -> None:
    tokens = list(text.encode())
    detokenizer, parts, start = Detokenizer(BYTES), [], 0
    while start < len(tokens):
        end = data.draw(st.integers(start + 1, len(tokens)))
        parts.append(detokenizer.push(tokens[start:end]))
        start = end
    assert "".join(parts) == text


@given(st.text(min_size=1), st.integers(0, 3))
def test_what_has_left_is_always_a_prefix(text: str, missing: int) -> None:
    tokens = list(text.encode())
    said = Detokenizer(BYTES).push(tokens[: len(tokens) - missing])
    assert text.startswith(said)
    assert "�" not in said or "�" in text


@given(st.binary())
def test_bytes_that_are_no_text_do_not_raise(noise: bytes) -> None:
    assert isinstance(Detokenizer(BYTES).push(noise), str)


def test_special_and_unknown_tokens_say_nothing() -> None:
    table = byte_table({b"a": 0, b"<|im_end|>": 2, b"b": 3}, frozenset({2}))
    assert table == (b"a", b"", b"", b"b")
    assert Detokenizer(table).push([0, 1, 2, 3, 99]) == "ab"
