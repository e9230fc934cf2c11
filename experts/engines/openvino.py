"""The CPU engine's pipeline: OpenVINO GenAI's continuous batching behind `experts.engines.batch.Pipeline`.

Loaded only inside the engine process. Measured facts about openvino-genai 2026.4 shape this file:

* `step` holds Python's global lock;
* `encode` silently cuts a prompt to the last tokens that fit the model's own context length;
* nothing checks the context window afterwards;
* text that spells a control token becomes that token;
* without a seed every request draws the same sample.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from experts.catalog.spec import ExpertSpec
from experts.engine import FinishReason, InvalidRequest, Sampling, Turn
from experts.engines.control_tokens import neutralise
from experts.engines.detokenizer import Detokenizer, byte_table
from experts.engines.openvino_grammar import structured_output

_DECODE_CHUNK = 1024


class OpenVINOOptions(BaseModel):
    """`engine_options` of an expert that runs on OpenVINO."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int | None = Field(default=None, ge=1)  # None: OpenVINO's choice, one a core
    max_num_batched_tokens: int = Field(default=256, ge=1)  # tokens one step prefills and decodes at most
    kv_cache_gb: int = Field(default=0, ge=0)  # 0: grows with what is in use
    inference_precision: Literal["f32", "bf16", "f16"] | None = None
    kv_cache_precision: Literal["f32", "bf16", "f16", "u8"] | None = None
    dynamic_quantization_group_size: int | None = Field(default=None, ge=0)  # 0: activations stay as they are

    def properties(self) -> dict[str, Any]:
        """Return OpenVINO's properties; what is unset is OpenVINO's own default."""
        named = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": self.inference_precision,
            "KV_CACHE_PRECISION": self.kv_cache_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self.dynamic_quantization_group_size,
        }
        return {name: value for name, value in named.items() if value is not None}


class OpenVINOPipeline:
    """One loaded model."""

    def __init__(self, spec: ExpertSpec, path: str) -> None:
        import openvino_genai as genai

        options = OpenVINOOptions.model_validate(spec.engine_options)
        scheduler = genai.SchedulerConfig()
        scheduler.max_num_seqs = spec.max_batch_size
        scheduler.max_num_batched_tokens = options.max_num_batched_tokens
        scheduler.cache_size = options.kv_cache_gb
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = False  # it never gives memory back
        self._genai = genai
        self._pipeline = genai.ContinuousBatchingPipeline(path, scheduler, "CPU", options.properties())
        self._tokenizer = self._pipeline.get_tokenizer()
        self._read_vocabulary()
        self._context_window = spec.context_window
        self._check_context_window()

    def tokenise(self, prompt: tuple[Turn, ...] | str) -> list[int]:
        """Apply the chat template to turns, none to text, and tokenise."""
        text = prompt if isinstance(prompt, str) else self._apply_template(prompt)
        return self._encode(text[: self._most_characters])

    def detokenizer(self) -> Detokenizer:
        """Return a new detokeniser over the shared table."""
        return Detokenizer(self._table)

    def add(self, sequence: int, prompt: list[int], sampling: Sampling) -> OpenVINOHandle:
        """Put a sequence into the batch."""
        import numpy as np
        import openvino as ov

        tokens = ov.Tensor(np.array([prompt], dtype=np.int64))
        try:
            handle = self._pipeline.add_request(sequence, tokens, self._configure(sampling))
        except (RuntimeError, LookupError, TypeError, ValueError, RecursionError):  # a schema that nobody has reduced
            raise InvalidRequest("the engine refuses these sampling settings") from None
        return OpenVINOHandle(handle, tells_logprobs=sampling.logprobs)

    def step(self) -> None:
        """Run one step for every sequence of the batch."""
        self._pipeline.step()

    def is_busy(self) -> bool:
        """Say whether any sequence is unfinished."""
        return bool(self._pipeline.has_non_finished_requests())

    def _read_vocabulary(self) -> None:
        vocabulary: dict[bytes, int] = self._tokenizer.get_vocab()
        control = self._control_tokens(vocabulary)
        self._table = byte_table(vocabulary, frozenset(control))
        self._control_texts = tuple(control.values())
        self._longest = max(map(len, vocabulary))

    def _control_tokens(self, vocabulary: dict[bytes, int]) -> dict[int, str]:
        """Find the tokens that the tokeniser itself hides; half a character decodes to nothing as well, and is none."""
        pieces = sorted(vocabulary.items(), key=lambda item: item[1])
        control: dict[int, str] = {}
        for start in range(0, len(pieces), _DECODE_CHUNK):
            chunk = pieces[start : start + _DECODE_CHUNK]
            shown = self._tokenizer.decode([[token] for _, token in chunk], skip_special_tokens=True)
            for (piece, token), text in zip(chunk, shown, strict=True):
                name = piece.decode("utf-8", errors="ignore")
                if not text and name.encode() == piece:
                    control[token] = name
        return control

    def _check_context_window(self) -> None:
        self._most_characters = self._context_window * self._longest
        longest_seen = len(self._encode(" a" * (self._context_window + 1)))
        if longest_seen < self._context_window:
            raise ValueError(
                f"context_window is {self._context_window}, the model's own context length only {longest_seen}"
            )

    def _apply_template(self, turns: tuple[Turn, ...]) -> str:
        messages = [{"role": t.role, "content": neutralise(t.content, self._control_texts)} for t in turns]
        try:
            return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True))
        except RuntimeError:
            raise InvalidRequest("the model's chat template refuses this order of roles") from None

    def _encode(self, text: str) -> list[int]:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        tokens: list[int] = encoded.input_ids.data[0].tolist()
        return tokens

    def _configure(self, sampling: Sampling) -> Any:  # noqa: ANN401  # the library ships no types
        config = self._genai.GenerationConfig()
        config.apply_chat_template = False
        config.set_eos_token_id(self._tokenizer.get_eos_token_id())
        config.max_new_tokens = sampling.max_tokens
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.rng_seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        config.frequency_penalty = sampling.frequency_penalty
        config.presence_penalty = sampling.presence_penalty
        config.min_new_tokens = sampling.min_tokens
        config.ignore_eos = sampling.ignore_eos
        config.logprobs = int(sampling.logprobs)  # before temperature, top_p and penalties
        if sampling.constraint is not None:
            config.structured_output_config = structured_output(self._genai, sampling.constraint)
        return config


class OpenVINOHandle:
    """One sequence inside the pipeline."""

    def __init__(self, handle: Any, *, tells_logprobs: bool) -> None:  # noqa: ANN401  # the library ships no types
        self._handle = handle
        self._tells_logprobs = tells_logprobs

    def read(self) -> tuple[list[int], FinishReason | None, list[float]]:
        """Return the tokens since the last read, how the sequence ended if it did, and the tokens' logprobs."""
        tokens: list[int] = []
        logprobs: list[float] = []
        finish = None
        while self._handle.can_read():
            for output in self._handle.read().values():
                tokens += output.generated_ids
                finish = _FINISH.get(output.finish_reason.name)
                if self._tells_logprobs:
                    logprobs += output.generated_log_probs
        return tokens, finish, logprobs

    def cancel(self) -> None:
        """Drop the sequence; the next step no longer includes it."""
        self._handle.cancel()


_FINISH = {"STOP": FinishReason.STOP, "LENGTH": FinishReason.LENGTH}
