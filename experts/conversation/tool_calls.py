"""Finds tool calls in a model's words while they are still coming.

The tool-caller writes `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, a line a call
(`experts.conversation.prompts` shows calls the same way), or plain words. `ToolCallReader` takes its text in pieces of
any size and returns words and `ToolCallDelta`s. Only text that may become the tag is held back. This happens here,
beside the prompt that asks for it, and not in the gateway: the form of a call belongs to the model, and everyone who
asks an expert gets the same.

If a grammar held the engine to a call, its arguments stream as they come. Any other call is sent whole, because until
its last brace it may turn out to be none, and what has been sent cannot be taken back. Where a call that lacks a value
becomes a question (`experts.conversation.missing`), its arguments wait until the required ones are there and rest on
something. Each call is judged by itself: those that lack nothing leave, one question for all others ends the answer.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto

from experts.conversation.json_repair import JsonScanner
from experts.conversation.missing.question import Parameter, question
from experts.conversation.tool_call import Outcome, read_call
from experts.conversation.tool_offer import ToolOffer
from experts.json_schema.references import references
from protos.chat_pb2 import Dependencies, ToolCallDelta

OPEN, CLOSE = "<tool_call>", "</tool_call>"
Piece = str | ToolCallDelta

_HEAD = re.compile(r'\{(?:"id": (\d+), )?"name": "([^"\\]*)", "arguments": (?=\{)')


class _State(Enum):
    WORDS = auto()
    CALL = auto()  # inside the tag, the object not complete
    ARGUMENTS = auto()  # inside the arguments of a call that streams
    AFTER = auto()  # the object is complete, its closing tag has not come


class ToolCallReader:
    """Reads one answer.

    Attributes:
        counts: what became of the calls that the model began.
        made: calls returned.
        question: for what calls lacked that were not returned; told, and in the answer, when the text has ended.
        is_cut: the text ended inside the arguments of a call that has begun to leave.
    """

    def __init__(self, offer: ToolOffer, new_id: Callable[[], str]) -> None:
        self._offer = offer
        self._new_id = new_id
        self._state = _State.WORDS
        self._text = ""  # not dealt with yet
        self._scanner = JsonScanner()
        self._scanned = 0  # characters of `_text` that the scanner has seen
        self._is_bare = True  # nothing but spaces since the beginning or the last call
        self._has_words = False
        self._space = ""  # what stood before the tag and is left out if a call follows
        self._name = self._arguments = ""  # of the call that streams
        self._out: list[Piece] = []
        self.counts: Counter[Outcome] = Counter()
        self.made = 0
        self._lacking: list[Parameter] = []
        self.question = ""
        self.is_cut = False

    def push(self, text: str) -> list[Piece]:
        """Take more text; return what is certain."""
        self._text += text
        return self._read()

    def close(self, *, is_cut: bool) -> list[Piece]:
        """Return what is left once the text has ended.

        Args:
            is_cut: it ended for want of tokens: an unfinished call is not mended, for nobody knows what it lacks. It
                is left out, and so is what has been written of its tag: markup is no part of an answer.
        """
        pieces: list[Piece] = []
        if is_cut:
            self._drop_unfinished()
        while self._state is _State.CALL:
            end = self._text.find(CLOSE)
            self._end_call(end if end >= 0 else len(self._text), may_mend=not is_cut)
            pieces += self._read()
        if self._state is _State.ARGUMENTS:
            self.is_cut = True
            self.counts[Outcome.INVALID_ARGUMENTS] += 1
        elif self._state is _State.WORDS and (self._text.strip() or not (self.made or self._lacking)):
            self._say(self._text)
        self._text = ""
        if self._lacking:
            self.question = f"{' ' if self._has_words else ''}{question(self._lacking)}"
            self._say(self.question)
        return pieces + self._read()

    def _drop_unfinished(self) -> None:
        """Forget a tag or a call that the end cut off."""
        if self._state is _State.CALL:
            self.counts[Outcome.TEXT] += 1
            self._text = ""
            self._enter(_State.WORDS)
        elif self._state is _State.WORDS:
            begun = _begun(self._text, OPEN)
            is_tag = begun > 1 or (self._is_bare and self._offer.is_constrained)  # after words, "<" may be one
            self._text = self._text[: len(self._text) - (begun if is_tag else 0)]

    def _read(self) -> list[Piece]:
        """Go from state to state until more text is needed."""
        steps = {
            _State.WORDS: self._read_words,
            _State.CALL: self._read_call,
            _State.ARGUMENTS: self._read_arguments,
            _State.AFTER: self._read_after,
        }
        while steps[self._state]():
            pass
        pieces, self._out = self._out, []
        return pieces

    def _read_words(self) -> bool:
        at = self._text.find(OPEN)
        end = at if at >= 0 else len(self._text) - _begun(self._text, OPEN)
        is_space = self._is_bare and not self._text[:end].strip()
        if at < 0 and is_space:
            return False  # spaces before a call are no part of the answer
        self._space = self._text[:end] if is_space else ""
        self._say(self._text[len(self._space) : end])
        self._text = self._text[end:]
        if at < 0:
            return False
        self._text = self._text[len(OPEN) :]
        self._enter(_State.CALL)
        return True

    def _read_call(self) -> bool:
        start = self._text.lstrip()[:1]
        if start != "{":
            return bool(start) and self._refuse(0)
        if self._offer.is_constrained and self._begin_arguments():
            return True
        end = self._scan()
        if end is not None:
            self._end_call(end, may_mend=True)
        return end is not None

    def _scan(self) -> int | None:
        """Follow the object; return where it ends, None while it has not."""
        text = self._text
        while self._scanned < len(text):
            at = self._scanned
            if text[at] == "<" and not (self._scanner.in_string and text[at - 1] != "\n"):
                if text.startswith((OPEN, CLOSE), at):
                    return at  # no JSON has a tag outside a string, or a string a line break: something was left open
                if OPEN.startswith(text[at:]) or CLOSE.startswith(text[at:]):
                    return None
            if text[at] == "\n" and self._scanner.in_string and text[:at].rstrip().endswith(CLOSE):
                return text.rindex(CLOSE, 0, at)  # likewise
            if self._push(text[at]):
                return self._scanned
        return None

    def _push(self, character: str) -> bool:
        self._scanner.push(character)
        self._scanned += 1
        return self._scanner.is_complete

    def _end_call(self, end: int, *, may_mend: bool) -> None:
        """Return the call that ends here, or its words if it is none."""
        number = self.made + 1
        own_number = number if self._offer.is_plan else None
        outcome, call = read_call(self._text[:end], self._offer.at(number), may_mend=may_mend, number=own_number)
        if call is None:
            self._refuse(end)
            return
        self._text = self._text[end:]
        self._enter(_State.AFTER)
        if self._is_surplus:
            return
        lacking = self._offer.lacking(call.name, call.arguments)
        self._lacking += lacking
        self.counts[Outcome.ASKED if lacking else outcome] += 1
        if not lacking:
            self._head(call.name)
            self._tail(call.arguments)
            self._depend(call.arguments)

    def _refuse(self, end: int) -> bool:
        """Return as words what began like a call."""
        self.counts[Outcome.TEXT] += 1
        self._say(self._space + OPEN + self._text[:end])
        self._text = self._text[end:]
        self._enter(_State.WORDS)
        return True

    def _begin_arguments(self) -> bool:
        head = _HEAD.match(self._text)
        if head is None or head[2] not in self._offer.schemas or self._is_surplus or not self._is_next(head[1]):
            return False
        if not self._offer.may_leave(head[2], self._text[head.end() :]):
            return False
        self._name, self._arguments = head[2], ""
        self._text = self._text[head.end() :]
        self._enter(_State.ARGUMENTS)
        self._head(self._name)
        return True

    def _read_arguments(self) -> bool:
        is_complete = any(self._push(character) for character in self._text)
        piece, self._text = self._text[: self._scanned], self._text[self._scanned :]
        self._scanned = 0
        self._arguments += piece
        if piece:
            self._tail(piece)
        if is_complete:
            call = json.dumps({"name": self._name}, ensure_ascii=False)[:-1] + f', "arguments": {self._arguments}}}'
            self.counts[read_call(call, self._offer.at(self.made), may_mend=False)[0]] += 1
            self._depend(self._arguments)
            self._enter(_State.AFTER)
        return is_complete

    def _read_after(self) -> bool:
        """Skip the closing tag, and brackets too many before it."""
        rest = self._text.lstrip(" \r\n\t}]")
        if rest.startswith(CLOSE):
            self._text = rest[len(CLOSE) :]
        elif CLOSE.startswith(rest):
            return False
        self._is_bare = True
        self._enter(_State.WORDS)
        return True

    def _enter(self, state: _State) -> None:
        self._state, self._scanner, self._scanned = state, JsonScanner(), 0

    @property
    def _is_surplus(self) -> bool:
        return self.made + self.counts[Outcome.ASKED] >= self._offer.most

    def _is_next(self, number: str | None) -> bool:
        """Say whether a call is numbered as its place wants it: in a plan only."""
        return number == (str(self.made + 1) if self._offer.is_plan else None)

    def _say(self, text: str) -> None:
        if text:
            self._out.append(text)
            self._is_bare, self._has_words = False, True

    def _head(self, name: str) -> None:
        self._out.append(ToolCallDelta(index=self.made, id=self._new_id(), name=name))
        self.made += 1

    def _depend(self, arguments: str) -> None:
        """Tell which earlier calls a step needs, once all of it is there."""
        if self._offer.is_plan:
            earlier = sorted({number for number in references(_read(arguments)) if number < self.made})
            self._out.append(ToolCallDelta(index=self.made - 1, depends_on=Dependencies(calls=earlier)))

    def _tail(self, arguments: str) -> None:
        self._out.append(ToolCallDelta(index=self.made - 1, arguments=arguments))


def _read(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):  # it has been counted as what it is
        return None


def new_call_id() -> str:
    """Make an id that is unique within any conversation."""
    return f"call_{uuid.uuid4().hex[:24]}"


def _begun(text: str, tag: str) -> int:
    """Count the characters at the end of `text` that may become `tag`."""
    return next(n for n in range(min(len(tag) - 1, len(text)), -1, -1) if text.endswith(tag[:n]))
