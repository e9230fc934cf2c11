"""Continuous batching, step by step, over a pipeline that counts."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.engine import (
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Sampling,
    TokenDelta,
)
from experts.engines.batch import Batch
from experts.engines.wire import Abort, Event, Progress, Released, Started, Submit
from tests.experts.fake_pipeline import FakePipeline


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A batch of `slots` over a fake pipeline, and everything that came out of it."""

    def __init__(self, slots: int = 2, window: int = 1000) -> None:
        self.pipeline, self.clock = FakePipeline(), Clock()
        self.batch = Batch(self.pipeline, slots, window, self.clock)
        self.seen: dict[int, list[Progress]] = defaultdict(list)

    def submit(self, number: int, text: str = "hello", deadline_s: float | None = None, **sampling: object) -> None:
        asked = Sampling(**{"max_tokens": 3, **sampling})  # type: ignore[arg-type]
        self._note(self.batch.handle(Submit(number, GenerationInput(text, asked, deadline_s), self.clock.now_s)))

    def abort(self, number: int) -> None:
        self._note(self.batch.handle(Abort(number)))

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now_s += 1
            self._note(self.batch.step())

    def run(self) -> None:
        while not self.batch.is_idle:
            self.step()

    def text(self, number: int) -> str:
        parts = [item.tail if isinstance(item, Completion) else item for item in self.seen[number]]
        return "".join(part.text for part in parts if isinstance(part, TokenDelta))

    def completion(self, number: int) -> Completion:
        last = self.seen[number][-1]
        assert isinstance(last, Completion)
        return last

    def _note(self, events: list[Event]) -> None:
        for number, progress in events:
            self.seen[number].append(progress)


def test_an_answer_token_by_token() -> None:
    bench = Bench()
    bench.submit(1, "one two")
    bench.run()
    assert bench.seen[1][0] == Started(prompt_tokens=2)
    assert [type(item) for item in bench.seen[1][1:]] == [TokenDelta, TokenDelta, Completion]
    assert bench.text(1) == "abc"
    end = bench.completion(1)
    assert (end.finish_reason, end.prompt_tokens, end.completion_tokens) == (FinishReason.LENGTH, 2, 3)
    assert (end.queue_s, end.prefill_s, end.decode_s) == (1.0, 0.0, 2.0)


def test_the_end_of_turn_token_counts_but_says_nothing() -> None:
    bench = Bench()
    bench.submit(1, "stop3", max_tokens=50)
    bench.run()
    assert bench.text(1) == "ab"
    assert (bench.completion(1).finish_reason, bench.completion(1).completion_tokens) == (FinishReason.STOP, 3)


def test_a_stop_string_ends_the_sequence_and_frees_its_slot() -> None:
    bench = Bench(slots=1)
    bench.submit(1, max_tokens=50, stop=("cd",))
    bench.submit(2)
    bench.run()
    assert bench.text(1) == "ab"
    assert (bench.completion(1).finish_reason, bench.completion(1).completion_tokens) == (FinishReason.STOP, 4)
    assert bench.text(2) == "abc"


def test_token_counts_add_up_while_text_is_held_back() -> None:
    bench = Bench()
    bench.submit(1, max_tokens=6, stop=("bcdx",))
    bench.run()
    deltas = [item.tail if isinstance(item, Completion) else item for item in bench.seen[1][1:]]
    assert [(d.text, d.token_count) for d in deltas if isinstance(d, TokenDelta)] == [("a", 1), ("bcde", 4), ("f", 1)]


def test_the_answer_is_capped_by_what_is_left_of_the_window() -> None:
    bench = Bench(window=5)
    bench.submit(1, "one two three", max_tokens=50)
    bench.run()
    assert (bench.text(1), bench.completion(1).finish_reason) == ("ab", FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("text", "error"),
    [("w " * 5, ContextLengthExceeded), ("", InvalidRequest), ("badtemplate", InvalidRequest)],
)
def test_what_cannot_be_served_ends_at_once(text: str, error: type[Exception]) -> None:
    bench = Bench(window=5)
    bench.submit(1, text)
    assert [type(item) for item in bench.seen[1]] == [error]
    assert bench.batch.is_idle


def test_what_the_library_refuses_hurts_nobody_else() -> None:
    bench = Bench()
    bench.submit(1, "refuse")
    bench.step()
    bench.submit(2, "fine")
    bench.run()
    assert [type(item) for item in bench.seen[1]] == [InvalidRequest]
    assert bench.text(2) == "abc"


def test_the_rest_waits_in_order() -> None:
    bench = Bench(slots=2)
    for number in range(5):
        bench.submit(number, max_tokens=2)
    bench.step()
    assert [number for number, seen in bench.seen.items() if seen] == [0, 1]
    bench.run()
    assert [bench.completion(number).queue_s for number in range(5)] == [1.0, 1.0, 3.0, 3.0, 5.0]


def test_an_abort_frees_the_slot_for_the_next() -> None:
    bench = Bench(slots=1)
    bench.submit(1, max_tokens=500)
    bench.submit(2)
    bench.step(2)
    [running] = bench.pipeline.handles
    bench.abort(1)
    bench.run()
    assert running.is_cancelled
    assert isinstance(bench.seen[1][-1], Released)
    assert bench.text(2) == "abc"


def test_a_waiting_sequence_can_be_aborted_and_an_ended_one_ignores_it() -> None:
    bench = Bench(slots=1)
    bench.submit(1)
    bench.submit(2)
    bench.abort(2)
    bench.run()
    bench.abort(1)
    assert [type(item) for item in bench.seen[2]] == [Released]
    assert isinstance(bench.seen[1][-1], Completion)


def test_deadlines_hold_in_the_queue_and_in_the_batch() -> None:
    bench = Bench(slots=1)
    bench.submit(1, deadline_s=103, max_tokens=500)
    bench.submit(2, deadline_s=102, max_tokens=500)
    bench.step(2)
    assert isinstance(bench.seen[2][-1], DeadlineExceeded)
    bench.step()
    assert isinstance(bench.seen[1][-1], DeadlineExceeded)
    assert bench.batch.is_idle


COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 6), st.integers(1, 9)),
        st.tuples(st.just("abort"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("step"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(COMMANDS, st.integers(1, 3))
def test_every_sequence_ends_exactly_once(commands: list[tuple[str, int, int]], slots: int) -> None:
    bench, submitted = Bench(slots=slots), 0
    for kind, value, life in commands:
        if kind == "submit":
            deadline_s = bench.clock.now_s + life if life > 5 else None
            bench.submit(submitted, f"stop{value}", deadline_s, max_tokens=4)
            submitted += 1
        elif kind == "abort":
            bench.abort(value)
        else:
            bench.step()
        assert sum(handle.is_live for handle in bench.pipeline.handles) <= slots
    bench.run()
    for number in range(submitted):
        ends = [item for item in bench.seen[number] if not isinstance(item, Started | TokenDelta)]
        assert len(ends) == 1
        assert bench.seen[number][-1] is ends[0]
    assert bench.pipeline.handles == [] or not any(handle.is_live for handle in bench.pipeline.handles)


@pytest.mark.parametrize("where", ["tokenise", "detokenizer", "add"])
@pytest.mark.parametrize(
    "failure",
    [
        UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"),
        RecursionError("maximum recursion depth exceeded"),
        RuntimeError("a library's own words: secret"),
        TypeError("secret"),
        ValueError("secret"),
        OverflowError("int too large"),
    ],
)
def test_what_one_request_does_to_a_library_ends_that_request_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str, failure: Exception
) -> None:
    bench = Bench()
    bench.submit(1, "hello")
    bench.step()

    def fail(*args: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(bench.pipeline, where, fail)
        bench.submit(2, "poison")
        bench.step()
    bench.submit(3, "hello")
    bench.run()
    [refused] = bench.seen[2]
    assert isinstance(refused, InvalidRequest)
    assert "secret" not in str(refused) + caplog.text
    assert (bench.text(1), bench.text(3)) == ("abc", "abc")
