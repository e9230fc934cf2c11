"""Hand back: an expert for tools that finds none of them fitting says so before its first token, and gives no answer.

The model decides by how it begins: a call, words, or the mark with which its recipe has taught it to decline.
`experts.deployment` sends a request through here when somebody else is there to answer; the gateway then asks them.
Only what may still become that mark waits, a few tokens at most. Whoever asks an expert without leave to hand back
gets the sentence as an answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from experts.catalog.spec import ExpertSpec
from experts.conversation.outcomes import MARKS
from experts.conversation.prompts import callable_tools
from experts.engine import HEARTBEAT, Completion, FinishReason, TokenDelta
from protos import chat_pb2, expert_pb2

DECLINES: Final = (
    MARKS["decline"],
    "None of the tools",
    "Keines der Werkzeuge",
    "Ninguna de las herramientas",
    "Aucun des outils",
    "Nessuno degli strumenti",
    "Ни один из инструментов",
    "没有一个工具",
)
"""How an answer begins that declines: the outcome's mark, or the sentence of experts that have learnt no marks."""

_MOST_SPACE: Final = 8  # characters before the first word: an answer that begins with more is none of these
_UNSPACED: Final = "\u2e80"  # from here on are the scripts that put no spaces between words
_MOST_TOKENS: Final = 64  # held back, whatever they are: a letter of some scripts is more than one
_MUST_CALL: Final = frozenset({chat_pb2.ToolChoice.MODE_REQUIRED, chat_pb2.ToolChoice.MODE_NAMED})


class Beginning(Enum):
    """What the beginning of an answer tells."""

    OPEN = auto()  # it may still become a sentence that declines
    ANSWER = auto()
    DECLINE = auto()


def read_beginning(text: str, *, is_over: bool = False) -> Beginning:
    """Tell what an answer that begins like this is; `is_over`: it is all there is."""
    said = text.lstrip()
    if len(text) - len(said) > _MOST_SPACE:
        return Beginning.ANSWER
    found = {_compare(said, decline) for decline in DECLINES}
    if Beginning.DECLINE in found or (is_over and said in DECLINES):
        return Beginning.DECLINE
    return Beginning.OPEN if Beginning.OPEN in found and not is_over else Beginning.ANSWER


def read_ending(text: str, end: FinishReason, stops: Sequence[str]) -> Beginning:
    """Tell what an answer is that ended before its beginning was told.

    Where `max_tokens` or one of the `stops` cut it, it counts as the sentence that it was about to become. One that the
    model ended ("No", beside "None of the tools") is an answer.
    """
    spoken = [text] if end is FinishReason.LENGTH else [text + stop for stop in stops]
    if any(said.strip() and read_beginning(said) is not Beginning.ANSWER for said in spoken):
        return Beginning.DECLINE
    return read_beginning(text, is_over=True)


def _compare(said: str, decline: str) -> Beginning:
    """Compare with one of them: its last word has to be whole ("toolsmiths" is another), where words have spaces."""
    rest = said.removeprefix(decline)
    if rest == said:
        return Beginning.OPEN if decline.startswith(said) else Beginning.ANSWER
    if decline[-1] >= _UNSPACED or not decline[-1].isalnum():
        return Beginning.DECLINE
    if not rest:
        return Beginning.OPEN
    return Beginning.ANSWER if rest[0].isalnum() else Beginning.DECLINE


def may_hand_back(spec: ExpertSpec, request: expert_pb2.GenerateRequest) -> bool:
    """Say whether an expert may hand this request back: it is one who does, and the choice to call is the model's.

    What comes after a tool's result is the answer to it, and stays.
    """
    if not (spec.hands_back and request.may_hand_back and request.HasField("conversation")):
        return False
    conversation = request.conversation
    if conversation.tool_choice.mode in _MUST_CALL or not callable_tools(conversation):
        return False
    return bool(conversation.messages) and conversation.messages[-1].role == chat_pb2.ROLE_USER


async def until_decided(
    items: AsyncGenerator[TokenDelta | Completion, None],
    clock: Callable[[], float] = time.monotonic,
    stops: Sequence[str] = (),
) -> AsyncGenerator[TokenDelta | Completion, None]:
    """Pass an engine's items on, holding tokens back until the answer's beginning is told.

    While they wait, each item is a sign of life, and the prompt's length is told at once. An answer that declines ends
    there, with a completion that says so, and the engine's sequence with it.

    Args:
        items: what `Engine.generate` yields; closed when this is.
        clock: seconds, monotonic.
        stops: the request's stop strings, which may have cut the sentence.
    """
    watch, held = _Watch(clock), TokenDelta("", 0)
    async with aclosing(items):
        async for item in items:
            delta = item.tail if isinstance(item, Completion) else item
            watch.note(delta)
            held = replace(held + delta, prompt_tokens=0)
            if isinstance(item, Completion):
                beginning = read_ending(held.text, item.finish_reason, stops)
            else:
                beginning = read_beginning(held.text)
            if beginning is Beginning.DECLINE:
                break
            told = replace(held, prompt_tokens=delta.prompt_tokens)
            if isinstance(item, Completion):
                yield replace(item, tail=told)
                return
            if beginning is Beginning.ANSWER or held.token_count > _MOST_TOKENS:
                yield told
                async for later in items:
                    yield later
                return
            yield TokenDelta("", 0, delta.prompt_tokens)
        else:
            return  # an engine that ends without a completion: the caller sees that there is none
    yield watch.declined(held.token_count)


class _Watch:
    """Times a generation from outside: one that is given up has no completion of its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arrived_at = clock()
        self._begun_at = self._first_at = 0.0
        self._prompt_tokens = 0

    def note(self, delta: TokenDelta) -> None:
        """Take an item in."""
        if delta == HEARTBEAT:
            return
        now = self._clock()
        self._prompt_tokens = self._prompt_tokens or delta.prompt_tokens
        self._begun_at = self._begun_at or now
        if delta.token_count:
            self._first_at = self._first_at or now

    def declined(self, tokens: int) -> Completion:
        """Tell how it ended: handed back after so many tokens."""
        return Completion(
            finish_reason=FinishReason.STOP,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=tokens,
            queue_s=self._begun_at - self._arrived_at,
            prefill_s=self._first_at - self._begun_at,
            decode_s=self._clock() - self._first_at,
            tail=TokenDelta("", tokens),
            handed_back=True,
        )
