"""Prepared sets of tools: callers send the same set again and again, and its index is made once.

A set is told by the digest of its tools as they came. The oldest sets go when all together hold too many tools. An
index is made in a thread, so that other requests go on; those for a set that is being prepared wait for it.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable

from protos import chat_pb2 as chat
from router.tools.index import ToolIndex, ToolText, build_index


class PreparedTools:
    """The indices of the latest sets of tools."""

    def __init__(self, max_tools: int) -> None:
        """`max_tools`: of all sets together; the newest set is kept whatever its size."""
        self._max_tools = max_tools
        self._indices: OrderedDict[bytes, ToolIndex] = OrderedDict()
        self._being_made: dict[bytes, asyncio.Task[ToolIndex]] = {}

    def __len__(self) -> int:
        return len(self._indices)

    async def index(self, tools: Iterable[chat.Tool]) -> ToolIndex:
        """Return the index of a set, at least one tool."""
        tools = list(tools)
        digest = digest_of(tools)
        index = self._indices.get(digest)
        if index is not None:
            self._indices.move_to_end(digest)
            return index
        task = self._being_made.get(digest)
        if task is None:
            task = self._being_made[digest] = asyncio.create_task(self._make(digest, tools))
        return await asyncio.shield(task)  # a client that leaves does not take the index from the others

    async def _make(self, digest: bytes, tools: list[chat.Tool]) -> ToolIndex:
        try:
            index = await asyncio.to_thread(lambda: build_index([text_of(tool) for tool in tools]))
        finally:
            del self._being_made[digest]
        self._indices[digest] = index
        held = sum(one.size for one in self._indices.values())
        while held > self._max_tools and len(self._indices) > 1:
            held -= self._indices.popitem(last=False)[1].size
        return index


def digest_of(tools: Iterable[chat.Tool]) -> bytes:
    """Digest a set of tools, in its order."""
    whole = hashlib.blake2b(digest_size=16)
    for tool in tools:
        whole.update(tool.SerializeToString(deterministic=True) + b"\xff\xff")
    return whole.digest()


def text_of(tool: chat.Tool) -> ToolText:
    """Read a tool that `serve.validation.rules` has checked: its parameters are a JSON object or empty."""
    return ToolText(tool.name, tool.description, json.loads(tool.parameters_json or "{}"))
