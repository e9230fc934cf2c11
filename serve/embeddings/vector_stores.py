"""Collections by themselves: which a caller may search, and the passages that a query finds, without an answer.

OpenAI calls them vector stores (`serve.doors.openai_api.vector_stores`). Passages are given as they were indexed: what
reads them here is the caller's program, and no expert.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from protos import encoder_pb2 as pb
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.embeddings.calls import EncoderCalls
from serve.errors import InvalidRequest, MoegateError, UnknownCollection
from serve.limits.quota import Headers, Quotas
from serve.limits.reservation import tokens_at_most
from serve.request import Caller, Door, Priority

MOST_RESULTS: Final = 50
"""Of one search, as OpenAI bounds it."""
_PARAM: Final = "vector_store_id"


class Collections(Protocol):
    """Reads collections; `serve.expert_client.encoder_channel.EncoderChannel` asks Ray Serve."""

    async def search(self, message: pb.SearchRequest, *, timeout_s: float) -> pb.SearchResponse:
        """Search.

        Raises:
            MoegateError: it could not be done.
        """
        ...

    async def collections(self, message: pb.CollectionsRequest, *, timeout_s: float) -> pb.CollectionsResponse:
        """List them.

        Raises:
            MoegateError: it could not be done.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search.

    Attributes:
        request_id: the caller's name for it, or ours.
        door: where it came in.
        collection: which one.
        query: what is looked for.
        top_k: how many passages at most.
        received_at: by our clock, as `deadline` is.
        deadline: when it has to be done.
        priority: who goes first when there is a queue.
        caller: who asks.
    """

    request_id: str
    door: Door
    collection: str
    query: str
    top_k: int
    received_at: float
    deadline: float
    priority: Priority
    caller: Caller


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found, best first, and what is left of the key's limits."""

    passages: Sequence[pb.Passage]
    limit_headers: Headers = ()


class VectorStores:
    """Answers such requests."""

    def __init__(
        self,
        collections: Collections,
        *,
        timeout_s: float,
        allowances: Quotas,
        admission: Admission,
        drain: Drain,
        calls: EncoderCalls,
    ) -> None:
        """`timeout_s` is of a request that brings no deadline, and of a list."""
        self.timeout_s = timeout_s
        self._collections = collections
        self._allowances = allowances
        self._admission = admission
        self._drain = drain
        self._calls = calls

    async def search(self, query: SearchQuery) -> Found:
        """Search one collection; who cancels ends the work, too.

        Raises:
            UnknownCollection: there is none of that name for the caller.
            MoegateError: it could not be done, and why.
        """
        with self._calls.recorded("search", query) as record, self._drain.watch():
            if not query.caller.may_search(query.collection):
                raise _unknown()
            if not query.query.strip():
                raise InvalidRequest("'query' is empty", param="query")
            most = tokens_at_most(query.query.encode())
            async with (
                self._allowances.hold_tokens(query.caller, most, record, param="query") as allowance,
                self._admission.permit(
                    deadline=query.deadline, priority=query.priority, tenant=query.caller.name
                ) as waited_s,
            ):
                record.waited_s = waited_s
                message = pb.SearchRequest(collections=[query.collection], question=query.query, top_k=query.top_k)
                try:
                    found = await self._collections.search(message, timeout_s=query.deadline - self._calls.clock())
                except UnknownCollection:
                    raise _unknown() from None
                record.encode_s = found.encode_s
                record.facts["passages"] = len(found.passages)
                await allowance.settle()
                return Found(found.passages, allowance.headers)

    async def listed(self, caller: Caller) -> list[pb.Collection]:
        """List the collections that the caller may search.

        Raises:
            MoegateError: they cannot be read.
        """
        names = () if caller.collections is None else tuple(caller.collections)
        if caller.collections is not None and not names:
            return []
        return await self._found(names, caller)

    async def get(self, caller: Caller, name: str) -> pb.Collection:
        """Tell of one collection.

        Raises:
            UnknownCollection: there is none of that name for the caller.
            MoegateError: it cannot be read.
        """
        found = await self._found((name,), caller) if caller.may_search(name) else []
        if not found:
            raise _unknown()
        return found[0]

    async def _found(self, names: Sequence[str], caller: Caller) -> list[pb.Collection]:
        answer = await self._collections.collections(pb.CollectionsRequest(names=names), timeout_s=self.timeout_s)
        return [one for one in answer.collections if caller.may_search(one.name)]


def _unknown() -> MoegateError:
    return UnknownCollection("there is no such vector store", param=_PARAM)
