"""Checks that OpenVINO follows the weights: `experts.evaluation.parity [EXPERT] [--options NAME=VALUE,...]...`.

Compares greedy continuations with transformers in float32 on the same dequantised GGUF file (needs the [train] extra
beside openvino-genai). At the first difference it prints what each side chose, and the reference's gap between the two:
a gap of a few hundredths is a tie that any rounding may break, a wide one is a loss of precision. Each `--options` is
one row of the closing table, with its milliseconds per token for one sequence alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import CatalogError, load_catalog
from experts.commands.messages import complain
from experts.compilation.prepare import FAILURES, prepare_expert
from experts.engines.openvino import OpenVINOOptions

TOKENS = 32
PROMPTS = (
    "What is the capital of France?",
    "Explain why the sky is blue in two sentences.",
    "Write a Python function that reverses a string.",
    "Give me three tips for a job interview.",
    "If a train travels 60 km in 45 minutes, how fast is it going?",
    "Translate 'good morning' into Spanish and German.",
    "Who wrote the novel Pride and Prejudice, and when?",
    "Suggest a name for a small bakery by the sea.",
    "What does the SQL statement SELECT COUNT(*) FROM users do?",
    "Rewrite politely: send me the report now.",
)


@dataclass(frozen=True, slots=True)
class Continuation:
    """What one engine said after one prompt."""

    tokens: list[int]
    log_probs: list[float]  # natural log, of each chosen token
    ms_per_token: float  # decode only


class Reference:
    """transformers in float32."""

    def __init__(self, gguf: Path) -> None:
        import torch  # noqa: PLC0415  # only this command needs it
        from transformers import AutoModelForCausalLM  # noqa: PLC0415

        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        self._model.eval()

    def continue_(self, prompt: list[int], stop: int) -> list[int]:
        """Return the greedy continuation, the stop token included."""
        tokens = self._torch.tensor([prompt])
        mask = self._torch.ones_like(tokens)
        made = self._model.generate(
            tokens, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False, eos_token_id=stop, pad_token_id=stop
        )
        continuation: list[int] = made[0, len(prompt) :].tolist()
        return continuation

    def next_log_probs(self, tokens: list[int]) -> Any:  # noqa: ANN401  # a torch tensor (vocabulary,)
        """Return the log-probability of every token that could come next."""
        with self._torch.no_grad():
            logits = self._model(self._torch.tensor([tokens])).logits[0, -1]
        return self._torch.log_softmax(logits, dim=-1)


class Candidate:
    """OpenVINO with one set of options."""

    def __init__(self, gguf: Path, options: OpenVINOOptions) -> None:
        import openvino_genai as genai  # noqa: PLC0415  # only this command needs it

        self._genai = genai
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        self._pipeline = genai.ContinuousBatchingPipeline(str(gguf), scheduler, "CPU", options.properties())
        self.tokenizer = self._pipeline.get_tokenizer()
        self._requests = 0

    def continue_(self, prompt: Any) -> Continuation:  # noqa: ANN401  # an OpenVINO tensor (1, tokens)
        """Generate greedily, one token a step."""
        handle = self._pipeline.add_request(self._requests, prompt, self._config())
        self._requests += 1
        tokens: list[int] = []
        log_probs: list[float] = []
        ticks: list[float] = []
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            ticks.append(time.perf_counter())
            for output in handle.read().values() if handle.can_read() else ():
                tokens += output.generated_ids
                log_probs += output.generated_log_probs
        return Continuation(tokens, log_probs, 1000 * (ticks[-1] - ticks[0]) / max(1, len(ticks) - 1))

    def _config(self) -> Any:  # noqa: ANN401  # the library ships no types
        config = self._genai.GenerationConfig(max_new_tokens=TOKENS, apply_chat_template=False, logprobs=1)
        config.set_eos_token_id(self.tokenizer.get_eos_token_id())
        return config


def first_difference(left: Sequence[int], right: Sequence[int]) -> int | None:
    """Return the first position at which two continuations differ; None when they are the same."""
    pairs = enumerate(zip(left, right, strict=False))
    shorter = min(len(left), len(right))
    return next((i for i, (a, b) in pairs if a != b), None if len(left) == len(right) else shorter)


def compare(candidate: Candidate, reference: Reference, system_prompt: str) -> tuple[int, float]:
    """Print one line a prompt; return how many agree wholly and the mean ms per token."""
    tokenizer, agreeing, pace = candidate.tokenizer, 0, []
    for text in PROMPTS:
        turns = [{"role": "system", "content": system_prompt}, {"role": "user", "content": text}]
        rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        prompt = tokenizer.encode(rendered, add_special_tokens=False).input_ids
        made = candidate.continue_(prompt)
        tokens = prompt.data[0].tolist()
        wanted = reference.continue_(tokens, tokenizer.get_eos_token_id())
        pace.append(made.ms_per_token)
        place = first_difference(wanted, made.tokens)
        agreeing += place is None
        print(f"  {text[:44]:44}  {_verdict(tokenizer, reference, made, prompt=tokens, wanted=wanted, place=place)}")
    return agreeing, sum(pace) / len(pace)


def _verdict(
    tokenizer: Any,  # noqa: ANN401  # the library ships no types
    reference: Reference,
    made: Continuation,
    *,
    prompt: list[int],
    wanted: list[int],
    place: int | None,
) -> str:
    if place is None:
        return f"same {len(wanted)} tokens"
    log_probs = reference.next_log_probs(prompt + wanted[:place])
    best, second = log_probs.topk(2).indices.tolist()
    chosen = made.tokens[place]
    gap = float(log_probs[best] - log_probs[chosen])
    return (
        f"differs at {place}: reference {tokenizer.decode([best])!r} {float(log_probs[best]):.3f} before "
        f"{tokenizer.decode([second])!r} {float(log_probs[second]):.3f}; "
        f"OpenVINO {tokenizer.decode([chosen])!r} {made.log_probs[place]:.3f}; gap {gap:.3f}"
    )


def parse_options(text: str) -> OpenVINOOptions:
    """Read `name=value,name=value`; an empty text is OpenVINO's defaults.

    Raises:
        ValueError: a part is no such pair, or no option of OpenVINO's is called so.
    """
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError(f"--options takes NAME=VALUE,..., not {text!r}")
    return OpenVINOOptions.model_validate({name: value for name, _, value in pairs})


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every set of options with the reference."""
    parser = argparse.ArgumentParser(
        prog="python -m experts.evaluation.parity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("expert", nargs="?", help="out of the catalogue (default: its default)")
    parser.add_argument("--gguf", type=Path, help="compare on this file instead of the expert's artefact")
    parser.add_argument("--options", action="append", default=[], metavar="NAME=VALUE,...")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (*FAILURES, ValueError, OSError) as error:
        complain(error)
    except ImportError as error:
        complain(f"{error.name} is missing; the reference needs it: pip install 'moegate[train]'")
    return 1


def _run(options: argparse.Namespace) -> int:
    """Compare and tell."""
    catalog = load_catalog()
    spec = catalog.get(options.expert or catalog.default)
    if spec is None:
        raise CatalogError(f"no such expert: {options.expert}; there are {', '.join(catalog.names)}")
    if options.gguf and not options.gguf.is_file():
        raise FileNotFoundError(f"{options.gguf}: there is no such file")
    gguf = options.gguf or prepare_expert(spec, "cpu", ArtifactStore(default_root())).path
    wanted = [(text, parse_options(text)) for text in options.options or [""]]
    reference = Reference(gguf)
    rows = []
    for text, properties in wanted:
        print(text or "OpenVINO's defaults")
        rows.append((text or "defaults", *compare(Candidate(gguf, properties), reference, spec.system_prompt)))
    for name, agreeing, pace in rows:
        print(f"{name:60} {agreeing:2}/{len(PROMPTS)} same  {pace:5.1f} ms/token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
