"""A second attempt for an answer that breaks a strict form, if nobody has read any of it.

`experts.cluster.deployment` sends a request through here if the caller waits for the whole answer and its form is
strict. The tokens of both attempts count for the request: together they stay within its `max_tokens`, and both are
reported.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from experts.engine import Completion, Engine, GenerationInput, Sampling, TokenDelta

_TEMPERATURE = 0.7  # of the second attempt, at least: the same choices would end the same way


async def generate_checked(
    engine: Engine, request: GenerationInput, is_good: Callable[[str], bool]
) -> AsyncGenerator[TokenDelta | Completion, None]:
    """Yield deltas without text while tokens come, then the completion with the whole answer in its tail.

    `is_good` says of a whole answer whether it keeps its form.

    Raises:
        EngineError: as `Engine.generate` raises it.
    """
    first: Completion | None = None
    while True:
        said = TokenDelta("", 0)
        async with aclosing(engine.generate(request)) as items:
            async for item in items:
                if isinstance(item, Completion):
                    break
                said += TokenDelta(item.text, 0, 0, item.logprobs)
                yield TokenDelta("", item.token_count, 0 if first else item.prompt_tokens)
            else:
                return  # an engine that ends without a completion: the caller sees that there is none
        end = replace(item, tail=said + item.tail)
        if first is not None:
            yield _joined(first, end)
            return
        left = request.sampling.max_tokens - end.completion_tokens
        if left < 1 or is_good(end.tail.text):
            yield end
            return
        yield replace(end.tail, text="", logprobs=())
        first, request = end, replace(request, sampling=_otherwise(request.sampling, left))


def _otherwise(sampling: Sampling, max_tokens: int) -> Sampling:
    """Choose tokens in another way; a request with a seed still repeats itself."""
    seed = None if sampling.seed is None else (sampling.seed + 1) % 2**63
    return replace(sampling, max_tokens=max_tokens, temperature=max(sampling.temperature, _TEMPERATURE), seed=seed)


def _joined(first: Completion, second: Completion) -> Completion:
    """Tell the second attempt's answer with the work of both; the prompt is counted once."""
    return replace(
        second,
        prompt_tokens=first.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        queue_s=first.queue_s + second.queue_s,
        prefill_s=first.prefill_s + second.prefill_s,
        decode_s=first.decode_s + second.decode_s,
        attempts=2,
    )
