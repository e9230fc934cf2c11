"""One sequence: its text, its end, its counts and its clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.engine import Completion, FinishReason, Markup, Sampling, TokenDelta
from experts.engines.detokenizer import Detokenizer
from experts.engines.sequence import Sequence

TABLE = [bytes([byte]) for byte in range(256)]  # a token a byte
STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


def sequence(
    max_tokens: int = 100, deadline_s: float | None = None, arrived_s: float = 0.0, **sampling: object
) -> Sequence:
    asked = Sampling(max_tokens, **sampling)  # type: ignore[arg-type]
    return Sequence([1, 2, 3], asked, Detokenizer(TABLE), arrived_s, deadline_s)


def tell(
    one: Sequence, text: str, finish: FinishReason | None = None, now_s: float = 0.0
) -> TokenDelta | Completion | None:
    return one.accept(list(text.encode()), finish, now_s)


def test_clocks_run_from_arrival_to_the_last_token() -> None:
    one = sequence(arrived_s=10.0)
    assert one.start(12.0) == TokenDelta("", 0, 3)
    assert tell(one, "", now_s=13.0) is None  # a step of a long prompt brings no token
    tell(one, "a", now_s=15.0)
    tell(one, "b", now_s=16.0)
    end = tell(one, "", STOP, now_s=20.0)
    assert end == Completion(STOP, 3, 2, queue_s=2.0, prefill_s=3.0, decode_s=1.0)


def test_an_answer_without_a_token_took_no_time_to_decode() -> None:
    one = sequence(arrived_s=10.0)
    one.start(12.0)
    assert tell(one, "", STOP, now_s=13.0) == Completion(STOP, 3, 0, queue_s=2.0, prefill_s=0.0, decode_s=0.0)


@pytest.mark.parametrize(("now_s", "is_overdue"), [(4.9, False), (5.0, True), (5.1, True)])
def test_a_deadline_is_passed_when_it_is_reached(now_s: float, is_overdue: bool) -> None:
    assert sequence(deadline_s=5.0).is_overdue(now_s) is is_overdue
    assert not sequence().is_overdue(now_s)


def test_no_more_tokens_than_were_asked_for() -> None:
    one = sequence(max_tokens=4)
    assert tell(one, "abc") == TokenDelta("abc", 3)
    end = tell(one, "defg", STOP)
    assert isinstance(end, Completion)
    assert (end.completion_tokens, end.tail) == (4, TokenDelta("d", 1))
    assert end.finish_reason is STOP


def test_the_last_token_that_is_allowed_ends_the_answer() -> None:
    end = tell(sequence(max_tokens=2), "ab")
    assert isinstance(end, Completion)
    assert (end.finish_reason, end.tail) == (LENGTH, TokenDelta("ab", 2))


def test_a_stop_string_ends_the_answer_also_at_its_last_token() -> None:
    end = tell(sequence(max_tokens=4, stop=("cd",)), "abcd")
    assert isinstance(end, Completion)
    assert (end.finish_reason, end.tail) == (STOP, TokenDelta("ab", 4))


def test_what_may_become_a_stop_string_waits_and_its_tokens_are_told_with_it() -> None:
    one = sequence(stop=("xyz",))
    assert tell(one, "x") is None
    assert tell(one, "y") is None
    assert tell(one, "-") == TokenDelta("xy-", 3)
    assert tell(one, "x") is None
    end = tell(one, "", LENGTH)
    assert isinstance(end, Completion)
    assert (end.tail, end.completion_tokens) == (TokenDelta("x", 1), 4)


def test_half_a_character_waits() -> None:
    one = sequence()
    first, second = "é".encode()
    assert one.accept([first], None, 0.0) is None
    assert one.accept([second], None, 0.0) == TokenDelta("é", 2)


def test_a_stop_string_inside_markup_is_none() -> None:
    one = sequence(stop=("!",), markup=Markup("<", ">"))
    end = tell(one, "a<!>b!c")
    assert isinstance(end, Completion)
    assert end.tail.text == "a<!>b"


@given(st.text("ab<é", max_size=12), st.integers(1, 20), st.lists(st.integers(0, 20), max_size=4).map(sorted))
def test_the_steps_that_tokens_come_in_change_neither_text_nor_counts(text: str, most: int, cuts: list[int]) -> None:
    def run(cuts: list[int]) -> tuple[str, int, FinishReason]:
        one, told = sequence(max_tokens=most, stop=("aba",)), TokenDelta("", 0)
        raw = text.encode()
        steps = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        for at, step in enumerate(steps):
            item = one.accept(list(step), STOP if at == len(steps) - 1 else None, 0.0)
            if isinstance(item, Completion):
                whole = told + item.tail
                assert whole.token_count == item.completion_tokens
                return whole.text, item.completion_tokens, item.finish_reason
            told = told + (item or TokenDelta("", 0))
        raise AssertionError("the last step ends it")

    alone = run([])
    assert run(list(range(1, len(text.encode()))))[0] == alone[0]
    assert run(cuts)[0] == alone[0]
    assert alone[1] <= most
