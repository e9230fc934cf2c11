"""A reference engine that computes in float32 with transformers, to compare the serving engine with.

`python -m experts.evaluate --reference` asks it instead of the expert's engine. It loads the base's GGUF file and the
adapter's matrices without rounding either again (serving stores the merged ones as Q8_0). It answers greedily, one
question at a time. Needs the [train] extra.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.artifacts.bases import resolve_base
from experts.artifacts.store import ArtifactStore
from experts.artifacts.transformers_base import unpacked_base
from experts.artifacts.weights import local_adapter
from experts.catalog.spec import ExpertSpec
from experts.engine import (
    Capabilities,
    Completion,
    ContextLengthExceeded,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Load,
    TokenDelta,
)

if TYPE_CHECKING:
    from experts.engines.hf_tokenizer import HFTokenizer

_HONOURED = frozenset({"max_tokens", "temperature", "frequency_penalty"})


class ReferenceEngine:
    """Implements `experts.engine.Engine` for measuring: greedy, no stop strings, no constraint, no deadline."""

    def __init__(self, spec: ExpertSpec, store: ArtifactStore) -> None:
        self._spec = spec
        self._store = store
        self._thread = ThreadPoolExecutor(1)  # torch uses the cores; answers queue here
        self._asked = 0
        self._tokenizer: HFTokenizer
        self._model: Any

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do: one sequence at a time, greedily."""
        return Capabilities(1, self._spec.context_window, _HONOURED)

    async def start(self) -> None:
        """Load base, adapter and tokeniser, in a thread.

        Raises:
            BaseUnavailable: the base cannot be had.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def stop(self) -> None:
        """Drop what waits and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Answer greedily; the whole answer comes with its end."""
        self._asked += 1
        if request.sampling.temperature > 0:
            raise InvalidRequest("the reference answers greedily")
        prompt = self._tokenizer.encode(request.prompt, self._spec.prompt_limit + 1)
        if len(prompt) > self._spec.prompt_limit:
            raise ContextLengthExceeded("the prompt is too long")
        most = min(request.sampling.max_tokens, self._spec.context_window - len(prompt))
        work = partial(self._continue, prompt, most, request.sampling.frequency_penalty)
        tokens = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        ended = tokens[-1] in self._tokenizer.end_tokens
        reason = FinishReason.STOP if ended else FinishReason.LENGTH
        tail = TokenDelta(self._text(tokens[:-1] if ended else tokens), len(tokens), len(prompt))
        yield Completion(reason, len(prompt), len(tokens), 0.0, 0.0, 0.0, tail)

    def load(self) -> Load:
        """Report an idle engine: nothing is dispatched by this."""
        return Load(0, 0, 1)

    def sequences_total(self) -> int:
        """Count the sequences since the start."""
        return self._asked

    async def check_health(self) -> None:
        """Do nothing: no process that could die is involved."""

    def _load(self) -> None:
        import torch  # noqa: PLC0415  # seconds to import, and only this engine needs it here
        from peft import PeftModel  # noqa: PLC0415
        from transformers import AutoModelForCausalLM  # noqa: PLC0415

        from experts.engines.hf_tokenizer import HFTokenizer  # noqa: PLC0415

        folder = unpacked_base(self._spec.base, self._store).path
        weights = resolve_base(self._spec.base, self._store).path
        self._model = _read(AutoModelForCausalLM, weights, torch.float32)
        if self._spec.adapter is not None:
            adapter = local_adapter(self._spec.adapter, self._store)
            self._model = PeftModel.from_pretrained(self._model, str(adapter)).merge_and_unload()
        self._model.eval()
        self._tokenizer = HFTokenizer.load(folder)

    def _continue(self, prompt: list[int], most: int, penalty: float) -> list[int]:
        import torch  # noqa: PLC0415

        def penalise(tokens: Any, scores: Any) -> Any:  # (1, so far), (1, vocabulary)
            """Lower each token by the penalty times how often the answer has it, as OpenAI defines it."""
            counts = torch.bincount(tokens[0, len(prompt) :], minlength=scores.shape[-1])
            return scores - penalty * counts

        tokens = torch.tensor([prompt])
        ends = sorted(self._tokenizer.end_tokens)
        made = self._model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=ends[0],
            logits_processor=[penalise] if penalty else None,
        )
        continuation: list[int] = made[0, len(prompt) :].tolist()
        return continuation

    def _text(self, tokens: list[int]) -> str:
        return self._tokenizer.detokenizer().push(tokens)


def _read(loader: Any, weights: Path, dtype: Any) -> Any:  # transformers' and torch's
    if weights.is_dir():
        return loader.from_pretrained(weights, dtype=dtype)
    return loader.from_pretrained(weights.parent, gguf_file=weights.name, dtype=dtype)
