"""Tokens are told with the text in which they stand, and only then."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experts.engine import Completion, FinishReason, Sampling, TokenDelta, TokenLogprob
from experts.engines.detokenizer import Detokenizer
from experts.engines.sequence import Sequence
from experts.engines.token_log import TokenLog

TABLE = [bytes([byte]) for byte in range(256)] + [b"", b"hello", b" you"]
CONTROL, HELLO, YOU = 256, 257, 258


def log() -> TokenLog:
    return TokenLog(Detokenizer(TABLE))


def test_a_token_waits_for_its_text() -> None:
    one = log()
    one.add([HELLO, YOU], [-0.5, -1.0])
    assert one.release("") == ()
    assert one.release("hello") == (TokenLogprob(b"hello", -0.5),)
    assert one.release(" you") == (TokenLogprob(b" you", -1.0),)


def test_a_token_that_is_let_go_in_part_is_told_with_its_first_character() -> None:
    one = log()
    one.add([HELLO], [-0.5])
    assert one.release("he") == (TokenLogprob(b"hello", -0.5),)
    assert one.release("llo") == ()


def test_control_tokens_are_no_part_of_the_answer() -> None:
    one = log()
    one.add([HELLO, CONTROL], [-0.5, -0.1])
    assert one.release("hello") == (TokenLogprob(b"hello", -0.5),)


@given(st.text(), st.lists(st.integers(0, 9)))
def test_however_text_is_cut_every_byte_is_told_once(text: str, cuts: list[int]) -> None:
    one, told = log(), b""
    one.add(list(text.encode()), [-1.0] * len(text.encode()))
    rest = text
    for cut in cuts:
        told += b"".join(token.token for token in one.release(rest[:cut]))
        rest = rest[cut:]
    told += b"".join(token.token for token in one.release(rest))
    assert told == text.encode()


def accepted(text: str, finish: FinishReason | None = None, **sampling: object) -> TokenDelta:
    one = Sequence([1], Sampling(100, logprobs=True, **sampling), Detokenizer(TABLE), 0.0, None)  # type: ignore[arg-type]
    raw = list(text.encode())
    progress = one.accept(raw, finish, 0.0, [-float(i) for i in range(len(raw))])
    assert progress is not None
    return progress.tail if isinstance(progress, Completion) else progress


def test_nothing_is_told_of_a_stop_string() -> None:
    told = accepted("ab##cd", stop=("##",))
    assert (told.text, [token.token for token in told.logprobs]) == ("ab", [b"a", b"b"])


def test_what_may_become_a_stop_string_is_told_once_it_has_not() -> None:
    assert [token.token for token in accepted("ab#", stop=("##",)).logprobs] == [b"a", b"b"]
    assert [token.token for token in accepted("ab#", FinishReason.STOP, stop=("##",)).logprobs] == [b"a", b"b", b"#"]


def test_who_asks_for_none_is_told_none() -> None:
    one = Sequence([1], Sampling(100), Detokenizer(TABLE), 0.0, None)
    assert one.accept([HELLO], None, 0.0, [-0.5]) == TokenDelta("hello", 1)
