"""From the server's stream to token deltas and the completion.

A native tool call is written out as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the one form that
`experts.conversation` reads: so calls are checked against their schemas, mended, counted and handed back in the same
way whichever engine made them. A call's arguments pass on as they come.

A server tells how many tokens it made at the end, if at all. Until then each event counts as one token, which is what
servers send while they keep up; the end brings the rest.
"""

from __future__ import annotations

import json
import math
from typing import Any

from experts.conversation.tool_calls import CLOSE, OPEN
from experts.engine import Completion, EngineError, FinishReason, TokenDelta, TokenLogprob
from experts.engines.upstream.logprobs import read_logprobs
from experts.engines.upstream.request import BYTES_PER_TOKEN


class Reply:
    """Reads one stream; times are seconds of `time.monotonic`.

    Args:
        prompt_tokens: estimated; the server's own count replaces it.
        arrived_s: when the request came.
        started_s: when it went to the server.
    """

    def __init__(self, prompt_tokens: int, arrived_s: float, started_s: float) -> None:
        self._prompt_tokens = prompt_tokens
        self._arrived_s = arrived_s
        self._started_s = self._first_s = self._last_s = started_s
        self._told = 0  # tokens
        self._counted: int | None = None  # tokens, by the server
        self._estimate = 0.0  # tokens, by the text
        self._finish: FinishReason | None = None
        self._calls = _Calls()

    def read(self, event: object, now_s: float) -> TokenDelta | None:
        """Read one event; return what it brings, None for nothing.

        Raises:
            EngineError: it is no event of such a stream.
        """
        try:
            return self._read(event, now_s)
        except (AttributeError, TypeError, ValueError, KeyError, IndexError):
            raise EngineError("the server's stream cannot be read") from None

    def complete(self) -> Completion:
        """Tell how it ended.

        Raises:
            EngineError: the server did not say, so the answer may not be whole.
        """
        if self._finish is None:
            raise EngineError("the server ended its stream before the answer was complete")
        text = "" if self._finish is FinishReason.LENGTH else self._calls.close()  # a call that was cut stays open
        tokens = self._counted or max(self._told, math.ceil(self._estimate))
        tail = TokenDelta(text, max(0, tokens - self._told))
        return Completion(
            finish_reason=self._finish,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=tokens,
            queue_s=self._started_s - self._arrived_s,
            prefill_s=self._first_s - self._started_s,
            decode_s=self._last_s - self._first_s,
            tail=tail,
            is_estimated=self._counted is None,
        )

    def _read(self, event: Any, now_s: float) -> TokenDelta | None:  # noqa: ANN401  # JSON that nobody has checked
        if usage := event.get("usage"):
            self._prompt_tokens = int(usage["prompt_tokens"] or 0) or self._prompt_tokens
            self._counted = int(usage["completion_tokens"] or 0) or self._counted  # some send noughts until the end
        choices = event.get("choices")
        if not choices:
            return None
        choice = choices[0]
        text, is_token = self._content(choice)
        if reason := choice.get("finish_reason"):
            self._finish = FinishReason.LENGTH if reason == "length" else FinishReason.STOP
        logprobs = read_logprobs(told) if (told := choice.get("logprobs")) else ()
        return self._note(text, now_s, logprobs) if is_token or logprobs else None

    def _content(self, choice: Any) -> tuple[str, bool]:  # noqa: ANN401  # likewise
        """Return the text that a choice adds, and whether the model has made a token for it."""
        delta = choice.get("delta")
        if delta is None:
            text = str(choice.get("text") or "")
            return text, bool(text)
        calls = delta.get("tool_calls") or ()
        text = (delta.get("content") or "") + (delta.get("refusal") or "")
        is_hidden = bool(delta.get("reasoning_content") or delta.get("reasoning"))
        if text:
            text = self._calls.close() + text
        return text + "".join(map(self._calls.push, calls)), bool(text or calls or is_hidden)

    def _note(self, text: str, now_s: float, logprobs: tuple[TokenLogprob, ...]) -> TokenDelta:
        if not self._told:
            self._first_s = now_s
        self._last_s = now_s
        self._estimate += len(text.encode()) / BYTES_PER_TOKEN
        tokens = 1 if self._counted is None else max(0, self._counted - self._told)
        self._told += tokens
        return TokenDelta(text, tokens, 0, logprobs)


class _Calls:
    """Writes native calls, one after the other, as a model of ours writes them."""

    def __init__(self) -> None:
        self._index = -1
        self._is_open = self._has_arguments = False

    def push(self, call: Any) -> str:  # noqa: ANN401  # likewise
        """Take a piece of a call.

        Raises:
            EngineError: it belongs to a call that was over, or to one that has no name.
        """
        written, index, function = "", call.get("index", 0), call["function"]
        if index != self._index or not self._is_open:
            name = function.get("name")
            if index <= self._index or not name:
                raise EngineError("the server's tool calls are not in order")
            written = self.close()
            self._index, self._is_open = index, True
            written += f'{OPEN}{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '
        arguments = function.get("arguments") or ""
        self._has_arguments = self._has_arguments or bool(arguments)
        return written + arguments

    def close(self) -> str:
        """End the call that is open, if one is."""
        if not self._is_open:
            return ""
        end = ("" if self._has_arguments else "{}") + "}" + CLOSE + "\n"
        self._is_open = self._has_arguments = False
        return end
