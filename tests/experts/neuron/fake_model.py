"""A `CompiledModel` without a compiler: the static shapes refuse as the real ones do, and the cache is really kept.

Its rows are the compiled batch's cache rows. A decode step writes into the rows that it was not given, as
optimum-neuron's padding does (`NxDDecoderWrapperForCausalLM._forward_with_pad`), so a scheduler that leaves a live
sequence out, or counts a position wrongly, changes the answer. The next token is a checksum of a row: what a sequence
says depends on exactly the tokens before it, whoever else is in the batch.
"""

from __future__ import annotations

from experts.engine import Turn
from experts.engines.detokenizer import Detokenizer
from experts.engines.neuron import SHORTEST_ENCODED, Draw
from experts.neuron.shapes import Shapes

VOCABULARY = 97  # ids 0..96: the printable characters from the space on, and the end
END = 96
GARBAGE = -1


def next_token(context: list[int]) -> int:
    """What the model says after a context; the tests compute answers with it, one sequence at a time."""
    return sum((index + 1) * token for index, token in enumerate(context)) % VOCABULARY


class FakeCompiledModel:
    """Implements `experts.engines.neuron.CompiledModel`."""

    max_top_k = 256

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.rows = [[GARBAGE] * shapes.sequence_length for _ in range(shapes.batch_size)]
        self.encoded: list[int] = []  # lengths, in order
        self.decoded: list[int] = []  # rows, in order
        self.draws: list[Draw] = []

    def encode(self, slot: int, prompt: list[int], draw: Draw) -> int:
        bucket = self.shapes.prompt_bucket
        if not SHORTEST_ENCODED <= len(prompt) <= bucket:
            raise ValueError(f"a prompt of {len(prompt)} tokens does not fit the bucket of {bucket}")
        self._check(draw)
        self.encoded.append(len(prompt))
        self.rows[slot][:bucket] = prompt + [GARBAGE] * (bucket - len(prompt))
        return next_token(prompt)

    def decode(self, slots: list[int], tokens: list[int], positions: list[int], draws: list[Draw]) -> list[int]:
        if not 1 <= len(slots) <= self.shapes.batch_size:
            raise ValueError(f"{len(slots)} rows do not fit the batch of {self.shapes.batch_size}")
        if slots != sorted(set(slots)) or slots[-1] >= self.shapes.batch_size:
            raise ValueError(f"slots {slots} are not ascending rows of the batch")
        if max(positions) >= self.shapes.sequence_length:
            raise ValueError(f"position {max(positions)} is beyond the cache of {self.shapes.sequence_length}")
        for draw in draws:
            self._check(draw)
        self.decoded.append(len(slots))
        for slot in set(range(self.shapes.batch_size)) - set(slots):
            self.rows[slot][positions[0]] = GARBAGE
        for slot, token, position in zip(slots, tokens, positions, strict=True):
            self.rows[slot][position] = token
        contexts = [self.rows[slot][: position + 1] for slot, position in zip(slots, positions, strict=True)]
        assert not any(GARBAGE in context for context in contexts), "a live row was overwritten, or has a hole"
        return [next_token(context) for context in contexts]

    def _check(self, draw: Draw) -> None:
        """As `validate_sampling_params` does."""
        self.draws.append(draw)
        if not (1 <= draw.top_k <= self.max_top_k and 0 < draw.top_p <= 1 and draw.temperature > 0):
            raise ValueError(f"invalid sampling parameters {draw}")


class FakeTokenizer:
    """A character is a token."""

    end_tokens = frozenset({END})

    def encode(self, prompt: tuple[Turn, ...] | str, most_tokens: int) -> list[int]:
        text = prompt if isinstance(prompt, str) else "".join(turn.content for turn in prompt)
        return [(ord(character) - 32) % END for character in text[: most_tokens + 1]]

    def detokenizer(self) -> Detokenizer:
        return Detokenizer([bytes([32 + token]) if token < END else b"" for token in range(VOCABULARY)])


def answer(prompt: str, most: int) -> str:
    """The text of up to `most` tokens that the fake model gives after a prompt, alone and without any batching."""
    tokenizer = FakeTokenizer()
    context, made = tokenizer.encode(prompt, 10**6), []
    while len(made) < most and END not in made:
        made.append(next_token(context + made))
    return tokenizer.detokenizer().push(made)
