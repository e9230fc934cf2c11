"""A `Pipeline` that counts instead of thinking; run as a script it is an engine process around one.

A prompt's tokens are its words. Token k of an answer is the byte "a" + k % 26, so three tokens say "abc". Magic words
in the prompt: `stop<n>` ends the answer after n tokens, `crash` breaks the next step, `die` ends the process, `refuse`
is refused by the library, `think<n>` makes the first n steps bring no token, as a long prompt does.
"""

from __future__ import annotations

import os
import re
import sys
import time

from experts.engine import FinishReason, InvalidRequest, Sampling, Turn
from experts.engines.detokenizer import Detokenizer, byte_table

END = 26  # the end-of-turn token
_TABLE = byte_table({**{bytes([97 + k]): k for k in range(26)}, b"<end>": END}, frozenset({END}))


class FakeHandle:
    def __init__(self, prompt: str, sampling: Sampling) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.made = 0
        self.is_cancelled = False
        self.unread: list[int] = []
        self.finish: FinishReason | None = None
        stop = re.search(r"stop(\d+)", prompt)
        self._stop = int(stop.group(1)) if stop else None
        think = re.search(r"think(\d+)", prompt)
        self._thinks = int(think.group(1)) if think else 0

    @property
    def is_live(self) -> bool:
        return self.finish is None and not self.is_cancelled

    def advance(self) -> None:
        if self._thinks:
            self._thinks -= 1
            return
        is_end = self._stop is not None and self.made + 1 == self._stop
        self.unread.append(END if is_end else self.made % 26)
        self.made += 1
        if is_end:
            self.finish = FinishReason.STOP
        elif self.made == self.sampling.max_tokens:
            self.finish = FinishReason.LENGTH

    def read(self) -> tuple[list[int], FinishReason | None, list[float]]:
        tokens, self.unread = self.unread, []
        return tokens, self.finish, [-0.5 * (token + 1) for token in tokens]

    def cancel(self) -> None:
        self.is_cancelled = True


class FakePipeline:
    def __init__(self, step_s: float = 0.0) -> None:
        self.handles: list[FakeHandle] = []
        self.steps = 0
        self._step_s = step_s
        self._prompts: dict[tuple[int, ...], str] = {}

    def tokenise(self, prompt: tuple[Turn, ...] | str) -> list[int]:
        text = prompt if isinstance(prompt, str) else " ".join(turn.content for turn in prompt)
        if "badtemplate" in text:
            raise InvalidRequest("the template refuses")
        self._last = text
        return list(range(len(text.split())))

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(_TABLE)

    def add(self, sequence: int, prompt: list[int], sampling: Sampling) -> FakeHandle:
        if "refuse" in self._last:
            raise InvalidRequest("the engine refuses")
        self.handles.append(FakeHandle(self._last, sampling))
        return self.handles[-1]

    def step(self) -> None:
        time.sleep(self._step_s)
        self.steps += 1
        for handle in self.handles:
            if handle.is_live:
                if "crash" in handle.prompt:
                    raise RuntimeError(f"the prompt was: {handle.prompt}")
                if "die" in handle.prompt:
                    os._exit(9)
                handle.advance()
        self.handles = [handle for handle in self.handles if handle.is_live]

    def is_busy(self) -> bool:
        return any(handle.is_live for handle in self.handles)


if __name__ == "__main__":
    from experts.engines import child

    child.load_pipeline = lambda spec, weights: FakePipeline(step_s=float(weights.path))
    child.main(int(sys.argv[1]))
