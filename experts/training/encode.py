"""Samples to token ids: the prompt exactly as serving makes it, then the answer up to the end of the turn.

Called by `experts.finetune`. The turns come from `experts.conversation.prompts.render_for`, the template from the
base model, so that training sees exactly what serving asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experts.catalog.spec import ExpertSpec
from experts.conversation.prompts import render_for
from experts.training.recipes.sample import Sample


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a sample. The answers end with the token that ends a turn; `rejected` may be empty."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    rejected: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Tokens of the longer of the sequences."""
        return len(self.prompt) + max(len(self.answer), len(self.rejected))


class Encoder:
    """Encodes with one tokenizer as an expert of the catalogue is asked; above `longest` tokens a sample is refused."""

    def __init__(self, tokenizer: Any, spec: ExpertSpec, longest: int) -> None:  # transformers'
        self._tokenizer = tokenizer
        self._spec = spec
        self._longest = longest

    def encode(self, sample: Sample) -> Encoded | None:
        """Return the sample's tokens, or None if there are too many."""
        turns = [{"role": turn.role, "content": turn.content} for turn in render_for(self._spec, sample.conversation)]
        text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        encoded = Encoded(self._ids(text), self._answer(sample.answer), self._answer(sample.rejected))
        return encoded if encoded.length <= self._longest else None

    def encode_all(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Encode those that are short enough, in their order."""
        return [encoded for sample in samples if (encoded := self.encode(sample)) is not None]

    def _answer(self, text: str) -> tuple[int, ...]:
        return (*self._ids(text), self._tokenizer.eos_token_id) if text else ()

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)
