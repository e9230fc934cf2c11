"""The selection of tools as a step: the expert is shown those that the request may need, and no others.

A tool that `tool_choice` names, or that an earlier turn has called, is always kept. If the selector cannot tell the
tools apart, all are kept, or as many as an expert may be shown. Where there is an encoder, it is heard (`encoded`).
`docs/tools.md` has the figures.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protos import chat_pb2 as chat
from router.tools.meaning import Meaning
from router.tools.question import Question, read_question
from router.tools.selector import Selector
from serve.request import ChatRequest
from serve.settings.tool_selection import ToolSelectionSettings
from serve.steps.step import Step
from serve.steps.tool_selection.encoded import ToolEncoder
from serve.steps.tool_selection.prepared import PreparedSet, PreparedTools
from serve.telemetry.metrics.tool_selection import ToolSelectionMetrics
from serve.telemetry.record import RequestRecord

NAME: Final = "tool-selection"
_TURNS_BEFORE: Final = 3
_SPOKEN: Final = frozenset({chat.ROLE_USER, chat.ROLE_ASSISTANT})


class ToolSelectionStep(Step):
    """Chooses among the tools of a request."""

    def __init__(
        self,
        selector: Selector,
        settings: ToolSelectionSettings,
        metrics: ToolSelectionMetrics,
        encoder: ToolEncoder | None = None,
    ) -> None:
        """`encoder` is the one that the selector was fitted with; None: the words decide alone."""
        self._selector = selector
        self._encoder = encoder
        self._settings = settings
        self._metrics = metrics
        self._prepared = PreparedTools(settings.prepared_tools)

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Leave out the tools that the request does not need; one that offers few keeps them all."""
        asked = request.input
        if isinstance(asked, str) or len(asked.tools) < self._settings.from_tools:
            return request
        tools = await self._prepared.get(asked.tools)
        newest, before = spoken_of(asked.messages)
        meaning = await self._meaning(newest, tools, request.deadline)
        began = time.perf_counter()
        selection = self._selector.select(
            read_question(newest, before),
            tools.index,
            recall=self._settings.recall,
            at_most=self._settings.max_kept,
            always=always_kept(asked),
            meaning=meaning,
        )
        self._metrics.seconds.observe(time.perf_counter() - began)
        left_out = tools.index.size - len(selection.kept)
        self._metrics.requests.labels("selected" if selection.is_sure else "unsure").inc()
        self._metrics.left_out.inc(left_out)
        heard = f"; by=words{'+meaning' * (meaning is not None)}" if self._encoder is not None else ""
        record.note(NAME, f"kept={len(selection.kept)}; left-out={left_out}{heard}")
        return replace(request, input=_with(asked, selection.kept)) if left_out else request

    async def run(self) -> None:
        """Have the encoder read sets of tools, beside requests."""
        if self._encoder is not None:
            await self._encoder.run()

    async def _meaning(self, newest: str, tools: PreparedSet, deadline: float) -> Meaning | None:
        return None if self._encoder is None else await self._encoder.meaning(newest, tools, deadline)


def question_of(messages: Sequence[chat.Message]) -> Question:
    """Read what a conversation asks for."""
    return read_question(*spoken_of(messages))


def spoken_of(messages: Sequence[chat.Message]) -> tuple[str, str]:
    """Return the newest user turn, and what was said shortly before it; results of tools are no words of anybody."""
    spoken = [message for message in messages if message.role in _SPOKEN and message.content]
    last = max((at for at, message in enumerate(spoken) if message.role == chat.ROLE_USER), default=None)
    if last is None:
        return "", ""
    before = [message.content for message in spoken[max(0, last - _TURNS_BEFORE) : last]]
    return spoken[last].content, "\n".join(before)


def always_kept(asked: chat.Conversation) -> list[int]:
    """List the places of the tool that is named, and of those that were called, newest first."""
    names = [asked.tool_choice.name] if asked.tool_choice.mode == chat.ToolChoice.MODE_NAMED else []
    names += [call.name for message in reversed(asked.messages) for call in message.tool_calls]
    places = {tool.name: place for place, tool in enumerate(asked.tools)} if names else {}
    return [places[name] for name in dict.fromkeys(names) if name in places]


def _with(asked: chat.Conversation, kept: Sequence[int]) -> chat.Conversation:
    """Copy a conversation with some of its tools; a request is never changed in place."""
    chosen = chat.Conversation()
    chosen.CopyFrom(asked)
    del chosen.tools[:]
    chosen.tools.extend(asked.tools[place] for place in kept)
    return chosen
