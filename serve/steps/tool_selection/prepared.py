"""Prepared sets of tools: callers send the same set again and again, and its index is made once.

A set is told by the digest of its tools as they came. The oldest sets go when all together hold too many tools. An
index is made in a thread, so that other requests go on, and one after another: several threads would keep the event
loop waiting between them (2,000 tools: 15 ms by one, 125 by four). Requests for a set that is being prepared wait.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protos import chat_pb2 as chat
from router.tools.index import Floats, ToolIndex, ToolText, build_index
from router.tools.meaning import line_of


@dataclass(slots=True, eq=False)
class PreparedSet:
    """One set.

    Attributes:
        index: of its T tools.
        lines: what an encoder reads of each.
        uses: requests that have asked for it.
        vectors: what the encoder made of the lines, (T, D); None: not yet. `encoded` writes them.
    """

    index: ToolIndex
    lines: Sequence[str]
    uses: int = 0
    vectors: Floats | None = field(default=None, repr=False)


class PreparedTools:
    """The latest sets of tools."""

    def __init__(self, max_tools: int) -> None:
        """`max_tools`: of all sets together; the newest set is kept whatever its size."""
        self._max_tools = max_tools
        self._sets: OrderedDict[bytes, PreparedSet] = OrderedDict()
        self._being_made: dict[bytes, asyncio.Task[PreparedSet]] = {}
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._sets)

    async def get(self, tools: Iterable[chat.Tool]) -> PreparedSet:
        """Return a set, of at least one tool, prepared."""
        tools = list(tools)
        digest = digest_of(tools)
        found = self._sets.get(digest)
        if found is None:
            task = self._being_made.get(digest)
            if task is None:
                task = self._being_made[digest] = asyncio.create_task(self._make(digest, tools))
            found = await asyncio.shield(task)  # a client that leaves does not take the set from the others
        else:
            self._sets.move_to_end(digest)
        found.uses += 1
        return found

    async def _make(self, digest: bytes, tools: list[chat.Tool]) -> PreparedSet:
        try:
            async with self._turn:
                made = await asyncio.to_thread(_prepared, tools)
        finally:
            del self._being_made[digest]
        self._sets[digest] = made
        held = sum(one.index.size for one in self._sets.values())
        while held > self._max_tools and len(self._sets) > 1:
            held -= self._sets.popitem(last=False)[1].index.size
        return made


def _prepared(tools: Sequence[chat.Tool]) -> PreparedSet:
    texts = [text_of(tool) for tool in tools]
    return PreparedSet(build_index(texts), [line_of(text) for text in texts])


def digest_of(tools: Iterable[chat.Tool]) -> bytes:
    """Digest a set of tools, in its order."""
    whole = hashlib.blake2b(digest_size=16)
    for tool in tools:
        whole.update(tool.SerializeToString(deterministic=True) + b"\xff\xff")
    return whole.digest()


def text_of(tool: chat.Tool) -> ToolText:
    """Read a tool that `serve.validation.rules` has checked: its parameters are a JSON object or empty."""
    return ToolText(tool.name, tool.description, json.loads(tool.parameters_json or "{}"))
