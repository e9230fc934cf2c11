"""The Neuron engine's pipeline: slots of a compiled batch behind `experts.engines.batch.Pipeline`.

Loaded only inside the engine process. It schedules; `CompiledModel` (experts.engines.neuron_model on hardware, a fake
in the tests) computes. Facts read in optimum-neuron 0.4.5 shape this file (docs/neuron.md has them all):

* one prompt is encoded at a time, padded to the one bucket, and a longer one would be cut silently;
* a decode step writes a key and a value into the cache row of every slot that it leaves out;
* a prompt of one or two tokens cannot be encoded, so it is decoded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from experts.engine import ContextLengthExceeded, FinishReason, InvalidRequest, Sampling, Turn
from experts.engines.detokenizer import Detokenizer
from experts.neuron.shapes import Shapes

SHORTEST_ENCODED = 3  # tokens; below, the context graph takes the padding's output for the prompt's


@dataclass(frozen=True, slots=True)
class Draw:
    """How one row's next token is drawn; the graph's only sampling inputs."""

    top_k: int
    top_p: float
    temperature: float  # > 0


class CompiledModel(Protocol):
    """Two graphs of static shape and the KV cache between them."""

    @property
    def max_top_k(self) -> int:
        """Most candidates that the compiled sampler looks at."""

    def encode(self, slot: int, prompt: list[int], draw: Draw) -> int:
        """Fill a slot's cache row with a prompt of 3 to `prompt_bucket` tokens; return the next token."""

    def decode(self, slots: list[int], tokens: list[int], positions: list[int], draws: list[Draw]) -> list[int]:
        """Give each slot its token at its position; return each one's next. Slots ascend; all live ones are there."""


class Tokenizer(Protocol):
    """Text to ids and back, as the model was trained."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """The ids that end an answer."""

    def encode(self, prompt: tuple[Turn, ...] | str, most_tokens: int) -> list[int]:
        """Tokenise; a prompt of more than `most_tokens` may come back cut, but never to that many or fewer."""

    def detokenizer(self) -> Detokenizer:
        """Return a fresh detokeniser."""


class NeuronHandle:
    """One sequence in one slot."""

    def __init__(self, slot: int, prompt: list[int], draw: Draw) -> None:
        self.slot = slot
        self.draw = draw
        self.position = 0  # of the next token to be fed
        self.is_cancelled = False
        self.finish: FinishReason | None = None
        self._feed = deque(prompt)  # tokens whose keys are not in the cache yet
        self._unread: list[int] = []

    @property
    def is_live(self) -> bool:
        """Whether the next step includes it."""
        return self.finish is None and not self.is_cancelled

    @property
    def is_encodable(self) -> bool:
        """Whether a whole prompt stands before it, long enough for the context graph."""
        return self.position == 0 and len(self._feed) >= SHORTEST_ENCODED

    def take_prompt(self) -> list[int]:
        """Hand out everything that is not in the cache."""
        prompt = list(self._feed)
        self.position += len(prompt)
        self._feed.clear()
        return prompt

    def take_one(self) -> int:
        """Hand out the next token for a decode step."""
        self.position += 1
        return self._feed.popleft()

    def give(self, token: int, end_tokens: frozenset[int]) -> None:
        """Take what the model made; while prompt tokens are left it is no news."""
        if self._feed:
            return
        self._feed.append(token)
        self._unread.append(token)
        if token in end_tokens:
            self.finish = FinishReason.STOP

    def read(self) -> tuple[list[int], FinishReason | None, tuple[()]]:
        """Return the tokens since the last read, and how the sequence ended if it did; the graph tells no logprobs."""
        tokens, self._unread = self._unread, []
        return tokens, self.finish, ()

    def cancel(self) -> None:
        """Drop the sequence; its slot is freed before the next step."""
        self.is_cancelled = True


class NeuronPipeline:
    """A compiled batch and who sits in it."""

    def __init__(self, model: CompiledModel, tokenizer: Tokenizer, shapes: Shapes, prefills_per_step: int = 1) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._shapes = shapes
        self._prefills_per_step = prefills_per_step
        self._slots: dict[int, NeuronHandle] = {}

    def tokenise(self, prompt: tuple[Turn, ...] | str) -> list[int]:
        """Tokenise; refuse a prompt beyond the bucket, which the library would cut."""
        bucket = self._shapes.prompt_bucket
        tokens = self._tokenizer.encode(prompt, bucket)
        if len(tokens) > bucket:
            raise ContextLengthExceeded(f"the prompt is longer than the {bucket} tokens that the model is compiled for")
        return tokens

    def detokenizer(self) -> Detokenizer:
        """Return a new detokeniser."""
        return self._tokenizer.detokenizer()

    def add(self, sequence: int, prompt: list[int], sampling: Sampling) -> NeuronHandle:
        """Put a sequence into a free slot."""
        draw = self._draw(sampling)
        self._free_slots()
        slot = next(slot for slot in range(self._shapes.batch_size) if slot not in self._slots)
        self._slots[slot] = NeuronHandle(slot, prompt, draw)
        return self._slots[slot]

    def step(self) -> None:
        """Decode every live slot once, then encode waiting prompts, oldest first."""
        self._free_slots()
        live = [self._slots[slot] for slot in sorted(self._slots)]
        self._decode([handle for handle in live if not handle.is_encodable])
        waiting = [handle for handle in self._slots.values() if handle.is_encodable]
        for handle in waiting[: self._prefills_per_step]:
            token = self._model.encode(handle.slot, handle.take_prompt(), handle.draw)
            handle.give(token, self._tokenizer.end_tokens)

    def is_busy(self) -> bool:
        """Say whether any slot has a live sequence."""
        return any(handle.is_live for handle in self._slots.values())

    def _decode(self, handles: list[NeuronHandle]) -> None:
        if not handles:
            return
        positions = [handle.position for handle in handles]
        made = self._model.decode(
            [handle.slot for handle in handles],
            [handle.take_one() for handle in handles],
            positions,
            [handle.draw for handle in handles],
        )
        for handle, token in zip(handles, made, strict=True):
            handle.give(token, self._tokenizer.end_tokens)

    def _free_slots(self) -> None:
        """Forget who has ended: their cache rows are overwritten by the next prompt."""
        self._slots = {slot: handle for slot, handle in self._slots.items() if handle.is_live}

    def _draw(self, sampling: Sampling) -> Draw:
        if sampling.frequency_penalty or sampling.presence_penalty:
            raise InvalidRequest("this expert's engine does not honour frequency_penalty and presence_penalty")
        if sampling.temperature <= 0:
            return Draw(top_k=1, top_p=1.0, temperature=1.0)  # the compiled sampler's way of saying greedy
        if sampling.seed is not None:
            raise InvalidRequest("this expert's engine does not honour seed above temperature 0")
        return Draw(self._model.max_top_k, sampling.top_p, sampling.temperature)
