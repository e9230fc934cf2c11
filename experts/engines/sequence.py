"""One sequence inside a batch: turns token ids into text, notices its end, keeps its clocks.

`experts.engines.batch` owns a sequence from its submission to its end; nothing here touches the engine's library.
"""

from __future__ import annotations

from collections import abc

from experts.engine import Completion, FinishReason, Sampling, TokenDelta
from experts.engines.detokenizer import Detokenizer
from experts.engines.stop_strings import stop_matcher
from experts.engines.token_log import TokenLog


class Sequence:
    """A request that has been tokenised; `sampling.max_tokens` is already capped to the context window."""

    def __init__(
        self,
        prompt: list[int],
        sampling: Sampling,
        detokenizer: Detokenizer,
        arrived_s: float,
        deadline_s: float | None,
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.deadline_s = deadline_s
        self._detokenizer = detokenizer
        self._stops = stop_matcher(sampling.stop, sampling.markup)
        self._arrived_s = self._started_s = self._first_token_s = self._last_token_s = arrived_s
        self._completion_tokens = 0
        self._silent_tokens = 0  # made since text last left
        self._log = TokenLog(detokenizer) if sampling.logprobs else None

    def start(self, now_s: float) -> TokenDelta:
        """Note that the next step includes this sequence; return its first delta, which tells the prompt alone."""
        self._started_s = now_s
        return TokenDelta("", 0, len(self.prompt))

    def is_overdue(self, now_s: float) -> bool:
        """Say whether the deadline has passed."""
        return self.deadline_s is not None and now_s >= self.deadline_s

    def accept(
        self, tokens: list[int], finish: FinishReason | None, now_s: float, logprobs: abc.Sequence[float] = ()
    ) -> TokenDelta | Completion | None:
        """Take the tokens of one step; return what may leave, or the end, or nothing yet.

        `logprobs` are the tokens' own, where the sampling asks for them.
        """
        tokens = tokens[: self.sampling.max_tokens - self._completion_tokens]
        self._count(len(tokens), now_s)
        if self._log:
            self._log.add(tokens, logprobs[: len(tokens)])
        text = self._stops.push(self._detokenizer.push(tokens))
        finish = self._ending(finish)
        if finish is None and not text:
            return None
        delta = self._delta(text, self._silent_tokens)
        self._silent_tokens = 0
        if finish is None:
            return delta
        return self._complete(finish, delta + self._delta(self._stops.flush(), 0))

    def _delta(self, text: str, tokens: int) -> TokenDelta:
        return TokenDelta(text, tokens, 0, self._log.release(text) if self._log else ())

    def _count(self, tokens: int, now_s: float) -> None:
        if tokens:
            self._last_token_s = now_s
            if not self._completion_tokens:
                self._first_token_s = now_s
        self._completion_tokens += tokens
        self._silent_tokens += tokens

    def _ending(self, finish: FinishReason | None) -> FinishReason | None:
        if self._stops.stopped:
            return FinishReason.STOP
        if finish is None and self._completion_tokens >= self.sampling.max_tokens:
            return FinishReason.LENGTH
        return finish

    def _complete(self, finish: FinishReason, tail: TokenDelta) -> Completion:
        return Completion(
            finish_reason=finish,
            prompt_tokens=len(self.prompt),
            completion_tokens=self._completion_tokens,
            queue_s=self._started_s - self._arrived_s,
            prefill_s=max(0.0, self._first_token_s - self._started_s),
            decode_s=self._last_token_s - self._first_token_s,
            tail=tail,
        )
