"""The Neuron engine over a fake with the same static shapes: continuous batching that never disturbs a neighbour."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.engine import (
    Completion,
    ContextLengthExceeded,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Sampling,
    TokenDelta,
)
from experts.engines.batch import Batch
from experts.engines.neuron import Draw, NeuronPipeline
from experts.engines.wire import Abort, Progress, Submit
from experts.neuron.shapes import Shapes
from tests.experts.neuron.fake_model import FakeCompiledModel, FakeTokenizer, answer

SHAPES = Shapes(batch_size=4, sequence_length=64, prompt_bucket=24, cores=2)


class Bench:
    def __init__(self, shapes: Shapes = SHAPES, prefills_per_step: int = 1) -> None:
        self.model = FakeCompiledModel(shapes)
        pipeline = NeuronPipeline(self.model, FakeTokenizer(), shapes, prefills_per_step)
        self.batch = Batch(pipeline, shapes.batch_size, shapes.sequence_length, lambda: 0.0)
        self.seen: dict[int, list[Progress]] = defaultdict(list)

    def submit(self, number: int, text: str, max_tokens: int = 8, **sampling: object) -> None:
        asked = Sampling(max_tokens, **sampling)  # type: ignore[arg-type]
        self._note(self.batch.handle(Submit(number, GenerationInput(text, asked), 0.0)))

    def abort(self, number: int) -> None:
        self._note(self.batch.handle(Abort(number)))

    def step(self) -> None:
        self._note(self.batch.step())

    def run(self) -> None:
        while not self.batch.is_idle:
            self.step()

    def text(self, number: int) -> str:
        deltas = [item.tail if isinstance(item, Completion) else item for item in self.seen[number]]
        return "".join(delta.text for delta in deltas if isinstance(delta, TokenDelta))

    def _note(self, events: list[tuple[int, Progress]]) -> None:
        for number, progress in events:
            self.seen[number].append(progress)


def test_one_answer() -> None:
    bench = Bench()
    bench.submit(1, "hello there", max_tokens=6)
    bench.run()
    assert bench.text(1) == answer("hello there", 6)
    assert (bench.model.encoded, bench.model.decoded) == ([11], [1] * 5)
    end = bench.seen[1][-1]
    assert isinstance(end, Completion)
    assert (end.finish_reason, end.prompt_tokens, end.completion_tokens) == (FinishReason.LENGTH, 11, 6)


def test_prompts_too_short_to_encode_are_decoded_token_by_token() -> None:
    bench = Bench()
    bench.submit(1, "a long neighbour", max_tokens=12)
    bench.submit(2, "x", max_tokens=5)
    bench.submit(3, "xy", max_tokens=5)
    bench.run()
    assert [bench.text(2), bench.text(3)] == [answer("x", 5), answer("xy", 5)]
    assert bench.text(1) == answer("a long neighbour", 12)
    assert bench.model.encoded == [16]


def test_one_prompt_is_encoded_between_two_decode_steps() -> None:
    """So a burst of arrivals delays the tokens of running answers by one prefill each step, not by all."""
    bench = Bench()
    for number in range(4):
        bench.submit(number, f"prompt {number}", max_tokens=30)
    for _ in range(4):
        bench.step()
    assert (bench.model.encoded, bench.model.decoded) == ([8] * 4, [1, 2, 3])
    eager = Bench(prefills_per_step=4)
    for number in range(4):
        eager.submit(number, f"prompt {number}", max_tokens=30)
    eager.step()
    assert (eager.model.encoded, eager.model.decoded) == ([8] * 4, [])


def test_a_prompt_beyond_the_bucket_is_refused_and_one_that_fills_it_is_served() -> None:
    bench = Bench()
    bench.submit(1, "p" * 25)
    bench.submit(2, "p" * 24, max_tokens=100)
    [refused] = bench.seen[1]
    assert isinstance(refused, ContextLengthExceeded)
    assert "24 tokens" in str(refused)
    bench.run()
    assert bench.text(2) == answer("p" * 24, 40)  # 24 + 40 fill the sequence length of 64


def test_the_end_token_ends_an_answer_and_frees_its_slot() -> None:
    ending = next(t for t in (f"word {n}" for n in range(500)) if len(answer(t, 30)) < 29)
    bench = Bench()
    for number in range(6):
        bench.submit(number, ending, max_tokens=30)
    bench.run()
    for number in range(6):
        end = bench.seen[number][-1]
        assert isinstance(end, Completion)
        assert end.finish_reason is FinishReason.STOP
        assert bench.text(number) == answer(ending, 30)


@pytest.mark.parametrize(
    ("sampling", "draw"),
    [
        ({}, Draw(1, 1.0, 1.0)),
        ({"temperature": 0.0, "top_p": 0.5, "seed": 7}, Draw(1, 1.0, 1.0)),
        ({"temperature": 0.7, "top_p": 0.9}, Draw(256, 0.9, 0.7)),
    ],
)
def test_sampling_becomes_the_graph_s_three_inputs(sampling: dict[str, object], draw: Draw) -> None:
    bench = Bench()
    bench.submit(1, "hello", max_tokens=3, **sampling)
    bench.run()
    assert set(bench.model.draws) == {draw}


@pytest.mark.parametrize(
    "sampling", [{"frequency_penalty": 0.5}, {"presence_penalty": -1.0}, {"seed": 1, "temperature": 0.5}]
)
def test_what_the_graph_cannot_do_is_refused_by_name(sampling: dict[str, object]) -> None:
    bench = Bench()
    bench.submit(1, "hello", **sampling)
    bench.submit(2, "fine")
    bench.run()
    assert isinstance(bench.seen[1][-1], InvalidRequest)
    assert next(iter(sampling)) in str(bench.seen[1][-1])
    assert bench.text(2) == answer("fine", 8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 3))
def test_neighbours_never_change_an_answer(seed: int, batch_size: int, prefills_per_step: int) -> None:
    """Random arrivals, lengths and aborts: each answer is what the sequence would have got alone."""
    chance = random.Random(seed)
    bench = Bench(Shapes(batch_size, 48, 16, 2), prefills_per_step)
    prompts: dict[int, tuple[str, int]] = {}
    aborted = set()
    for number in range(20):
        prompts[number] = ("".join(chance.choices("abc de", k=chance.randint(1, 16))), chance.randint(1, 30))
        bench.submit(number, *prompts[number])
        if chance.random() < 0.2:
            aborted.add(chance.randint(0, number))
            for victim in aborted:
                bench.abort(victim)
        for _ in range(chance.randint(0, 4)):
            bench.step()
    bench.run()
    for number, (prompt, most) in prompts.items():
        if number not in aborted:
            assert bench.text(number) == answer(prompt, most)
            assert isinstance(bench.seen[number][-1], Completion)
