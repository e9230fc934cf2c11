"""Turns an engine's text into the client's answer: reads its outcome, tool calls and citations, and leaves the rest.

`experts.cluster.deployment` makes one `AnswerReader` a request and sends every piece of text through it. Without tools
and documents the text passes unchanged. With them, only text that may become an outcome's mark, a call or a citation is
held back; its tokens are reported all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from experts.catalog.spec import OutcomeName
from experts.conversation.citations import CitationReader
from experts.conversation.constraints import tool_offer
from experts.conversation.outcomes import OutcomeReader
from experts.conversation.structured import FormReader
from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import Piece, ToolCallReader, new_call_id
from experts.engine import FinishReason
from experts.json_schema.conformance import Schema
from protos import chat_pb2, expert_pb2

_FINISH = {
    FinishReason.STOP: chat_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: chat_pb2.FINISH_REASON_LENGTH,
}

_OF_TOOLS: Final[tuple[OutcomeName, ...]] = ("ask", "decline")
_OF_DOCUMENTS: Final[tuple[OutcomeName, ...]] = ("cited", "unknown")


class AnswerReader:
    """Reads one answer to `conversation`; None stands for raw text, in which there is nothing to read.

    `form` is the reduced schema that the answer is to follow where it is no call, if there is one. `outcomes` are those
    that the expert has learnt to begin with. With `asks_for_missing`, a call whose required value nobody said becomes a
    question at the answer's end. `is_told_of_plans` says whether calls are steps of a plan where one is asked for.

    Attributes:
        said: the answer so far, calls as they were written, after its outcome has been read.
    """

    def __init__(
        self,
        conversation: chat_pb2.Conversation | None,
        *,
        is_constrained: bool,
        form: Schema | None = None,
        outcomes: Collection[OutcomeName] = (),
        asks_for_missing: bool = False,
        is_told_of_plans: bool = True,
    ) -> None:
        offer = (
            tool_offer(
                conversation,
                is_constrained=is_constrained,
                asks_for_missing=asks_for_missing,
                is_told_of_plans=is_told_of_plans,
            )
            if conversation is not None
            else None
        )
        self._calls = ToolCallReader(offer, new_call_id) if offer is not None else None
        self._form = FormReader(form) if form is not None else None
        # In JSON, "[1]" is a list: what is to have a form is not searched for citations.
        documents = conversation.documents if conversation is not None and form is None else ()
        self._citations = CitationReader(documents) if documents else None
        possible = [*(_OF_TOOLS if offer is not None else ()), *(_OF_DOCUMENTS if documents else ())]
        self._outcome = OutcomeReader(name for name in possible if name in outcomes)
        self.said = ""

    def push(self, text: str) -> expert_pb2.GenerateChunk:
        """Read more text; return what may leave."""
        text = self._outcome.push(text)
        self.said += text
        pieces: Sequence[Piece] = self._calls.push(text) if self._calls else (text,)
        return self._chunk(pieces, is_last=False)

    def close(self, text: str, finish: FinishReason, attempts: int = 1) -> expert_pb2.GenerateChunk:
        """Read the last text; return what is left, with a completion that tells how the answer ended."""
        text = self._outcome.push(text) + self._outcome.close(is_cut=finish is FinishReason.LENGTH)
        self.said += text
        pieces: Sequence[Piece] = (text,)
        if self._calls:
            pieces = self._calls.push(text) + self._calls.close(is_cut=finish is FinishReason.LENGTH)
            self.said += self._calls.question
        chunk = self._chunk(pieces, is_last=True)
        chunk.completion.finish_reason = _FINISH[finish]
        if self._calls:
            self._tell_calls(self._calls, finish, chunk.completion)
        if self._form and not (self._calls and self._calls.made):
            chunk.completion.form = self._form.close(finish, attempts)
        if self._citations:
            chunk.completion.annotations.extend(self._citations.annotations)
            chunk.completion.dropped_citations = self._citations.dropped
        return chunk

    def _chunk(self, pieces: Sequence[Piece], *, is_last: bool) -> expert_pb2.GenerateChunk:
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        if self._form:
            self._form.push(text)
        if self._citations:
            text = self._citations.push(text) + (self._citations.close() if is_last else "")
        calls = [piece for piece in pieces if not isinstance(piece, str)]
        return expert_pb2.GenerateChunk(text=text, tool_calls=calls)

    def _tell_calls(self, calls: ToolCallReader, finish: FinishReason, completion: expert_pb2.Completion) -> None:
        if calls.is_cut:
            completion.finish_reason = chat_pb2.FINISH_REASON_LENGTH
        elif calls.made and finish is FinishReason.STOP:
            completion.finish_reason = chat_pb2.FINISH_REASON_TOOL_CALLS
        counts = calls.counts
        completion.tool_calls.CopyFrom(
            expert_pb2.ToolCallCounts(
                ok=counts[Outcome.OK],
                repaired=counts[Outcome.REPAIRED],
                text=counts[Outcome.TEXT],
                invalid_arguments=counts[Outcome.INVALID_ARGUMENTS],
                asked=counts[Outcome.ASKED],
            )
        )
