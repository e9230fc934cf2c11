"""One answer as a suite judges it: what it says behind its outcome, and the tool calls that a client gets from it.

`experts.evaluation.engine_client` pushes an engine's pieces through the `AnswerReader` that serves, and joins the
deltas of each call as a client does; `gateway_client` reads the calls that a gateway streams the same.
"""

from __future__ import annotations

from collections.abc import Collection

from experts.catalog.spec import OutcomeName
from experts.conversation.answer import AnswerReader
from experts.conversation.json_repair import read_json
from experts.engine import FinishReason
from experts.evaluation.suites.ast_rules import Call
from experts.evaluation.suites.suite import Reply
from protos import chat_pb2, expert_pb2


class ReplyListener:
    """Listens to one answer."""

    def __init__(
        self,
        conversation: chat_pb2.Conversation,
        *,
        is_constrained: bool,
        outcomes: Collection[OutcomeName] = (),
        asks_for_missing: bool = False,
    ) -> None:
        self._reader = AnswerReader(
            conversation, is_constrained=is_constrained, outcomes=outcomes, asks_for_missing=asks_for_missing
        )
        self._names: list[str] = []
        self._arguments: list[str] = []

    def push(self, text: str) -> None:
        """Take more text."""
        self._take(self._reader.push(text))

    def close(self, text: str, finish: FinishReason) -> Reply:
        """Take the last text; return the whole."""
        chunk = self._reader.close(text, finish)
        self._take(chunk)
        calls = [read_call(name, arguments) for name, arguments in zip(self._names, self._arguments, strict=True)]
        read = tuple(call for call in calls if call is not None)
        return Reply(self._reader.said, read, chunk.completion.tool_calls.text + len(calls) - len(read))

    def _take(self, chunk: expert_pb2.GenerateChunk) -> None:
        for delta in chunk.tool_calls:
            if delta.index == len(self._names):
                self._names.append(delta.name)
                self._arguments.append("")
            self._arguments[delta.index] += delta.arguments


def read_call(name: str, arguments: str) -> Call | None:
    """Read a call as its client would; None where its arguments were cut off."""
    try:
        read = read_json(arguments)
    except ValueError:
        return None
    return Call(name, read) if isinstance(read, dict) else None
