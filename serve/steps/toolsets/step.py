"""Puts the tools of the sets that a request names behind its own tools.

It comes before the choice among many tools, so that a request may name a set of hundreds. A set that the caller's key
does not name is not there for it.
"""

from dataclasses import replace
from typing import ClassVar, Final

from protos import chat_pb2 as chat
from serve.errors import InvalidRequest, UnknownToolset
from serve.request import ChatRequest
from serve.steps.step import Step
from serve.steps.toolsets.in_force import Toolsets
from serve.telemetry.record import RequestRecord
from serve.validation.rules import check_with_toolsets

NAME: Final = "toolsets"


class ToolsetsStep(Step):
    """Names to tools."""

    reads: ClassVar[frozenset[str]] = frozenset({"toolset"})

    def __init__(self, toolsets: Toolsets, *, max_tools: int) -> None:
        """`max_tools`: the most that a request may offer, its sets' tools counted."""
        self._toolsets = toolsets
        self._max_tools = max_tools

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Return the request with the tools; one that names no set stays as it is.

        Raises:
            UnknownToolset: there is no such set, or the key does not name it.
            InvalidRequest: two tools have one name, or the tools are too many, or no tool is there that has to be.
        """
        asked = request.input
        if not request.toolsets or isinstance(asked, str):
            return request
        current = self._toolsets.current
        whole = chat.Conversation()
        whole.CopyFrom(asked)
        names = {tool.name for tool in asked.tools}
        told = []
        for named in request.toolsets:
            tools = current.get(named.name) if request.caller.may_offer(named.name) else None
            if tools is None:
                raise UnknownToolset("there is no such toolset", param=named.where)
            if not names.isdisjoint(tool.name for tool in tools):
                message = f"'{named.where}': a tool of this toolset has the name of another tool of the request"
                raise InvalidRequest(message, param=named.where)
            names.update(tool.name for tool in tools)
            whole.tools.extend(tools)
            told.append(f"{named.name}={len(tools)}")
        check_with_toolsets(whole, self._max_tools)
        record.note(NAME, "; ".join(told))
        return replace(request, input=whole)
