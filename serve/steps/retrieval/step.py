"""Has collections searched before a request is routed, and puts what was found among its documents.

The search itself runs beside the encoder, on Ray Serve: the gateway imports no engine and no store, and a question
crosses the wire once (docs/architecture.md, "Retrieval"). Passages come behind the request's own documents, best first,
and are numbered and cited as those are.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Final, Protocol

from experts.catalog.spec import Catalog
from experts.conversation.request_limits import MAX_DOCUMENTS
from protos import chat_pb2 as chat
from protos import encoder_pb2
from protos import expert_pb2 as pb
from serve.errors import InvalidRequest, MoegateError, UnknownCollection
from serve.request import ChatRequest, Retrieval
from serve.settings.retrieval import RetrievalSettings
from serve.steps.retrieval.commands import neutralised
from serve.steps.retrieval.question import standalone_question
from serve.steps.step import Step
from serve.telemetry.metrics.retrieval import RetrievalMetrics
from serve.telemetry.record import RequestRecord

NAME: Final = "retrieval"
_WHERE: Final = "retrieval.collections"


class Retriever(Protocol):
    """Searches collections; `serve.expert_client.encoder_channel.EncoderChannel` asks Ray Serve."""

    async def search(self, message: encoder_pb2.SearchRequest, *, timeout_s: float) -> encoder_pb2.SearchResponse:
        """Search.

        Raises:
            MoegateError: it could not be done.
        """
        ...


class RetrievalStep(Step):
    """Retrieval. It has a deadline of its own; when it fails, the request goes on without passages, or fails, too."""

    reads: ClassVar[frozenset[str]] = frozenset({"retrieval"})

    def __init__(
        self,
        retriever: Retriever,
        settings: RetrievalSettings,
        metrics: RetrievalMetrics,
        catalog: Catalog,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`catalog` tells which collections an expert answers from where a request names it and none."""
        self._retriever = retriever
        self._settings = settings
        self._metrics = metrics
        self._defaults = {expert.name: expert.collections for expert in catalog.experts if expert.collections}
        self._clock = clock

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Search, and add what was found to the documents.

        Raises:
            UnknownCollection: there is no such collection, or the key does not name it.
            InvalidRequest: the request has no question, or no room for a passage.
            MoegateError: the search failed, and `fail` is `closed`.
        """
        wanted = self._wanted(request)
        if wanted is None or isinstance(request.input, str):
            return request
        with self._refusals_counted():
            message = self._message(request.input, wanted)
        began = self._clock()
        try:
            found = await self._search(message, request.deadline)
        except UnknownCollection:
            self._metrics.requests.labels("refused").inc()
            raise
        except MoegateError as error:
            self._failed(error, record)
            return request
        self._metrics.seconds.labels("all").observe(self._clock() - began)
        return replace(request, input=self._with_passages(request.input, found, record, self._clock() - began))

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Count whether the answer cites a passage."""
        own = record.of_step.get(self)
        if own is not None:
            cites = any(annotation.document > own for annotation in completion.annotations)
            self._metrics.answers.labels("yes" if cites else "no").inc()
        return completion

    def _wanted(self, request: ChatRequest) -> Retrieval | None:
        """Tell what is to be searched: what the request says, or what the expert that it names answers from.

        Raises:
            UnknownCollection: the request names one that is not there for its key.
        """
        caller, wanted = request.caller, request.retrieval
        if wanted is not None:
            for number, name in enumerate(wanted.collections):
                if not caller.may_search(name):
                    self._metrics.requests.labels("refused").inc()
                    raise UnknownCollection("there is no such collection", param=f"{_WHERE}[{number}]")
            return wanted
        names = self._defaults.get(request.pinned or "", ())
        names = tuple(name for name in names if caller.may_search(name))
        return Retrieval(names) if names and not isinstance(request.input, str) else None

    def _message(self, conversation: chat.Conversation, wanted: Retrieval) -> encoder_pb2.SearchRequest:
        room = MAX_DOCUMENTS - len(conversation.documents)
        if wanted.top_k is not None and wanted.top_k > room:
            raise InvalidRequest(
                f"beside its documents a request has room for {room} passages", param="retrieval.top_k"
            )
        question = standalone_question(conversation)
        if not question or room < 1:
            what = "needs a user message that says something" if room else "finds no room beside so many documents"
            raise InvalidRequest(f"'retrieval' {what}", param="messages" if room else "documents")
        top_k = wanted.top_k or min(self._settings.top_k, room)
        return encoder_pb2.SearchRequest(collections=dict.fromkeys(wanted.collections), question=question, top_k=top_k)

    async def _search(self, message: encoder_pb2.SearchRequest, deadline: float) -> encoder_pb2.SearchResponse:
        timeout_s = min(self._settings.timeout_s, max(0.0, deadline - self._clock()))
        return await self._retriever.search(message, timeout_s=timeout_s)

    def _failed(self, error: MoegateError, record: RequestRecord) -> None:
        """Note a search that failed; raise its error where the request is to fail with it."""
        self._metrics.requests.labels("failed").inc()
        record.note(NAME, f"failed={error.code}")
        if self._settings.fail == "closed":
            raise error

    def _with_passages(
        self, conversation: chat.Conversation, found: encoder_pb2.SearchResponse, record: RequestRecord, took_s: float
    ) -> chat.Conversation:
        self._metrics.requests.labels("found" if found.passages else "empty").inc()
        for stage in ("encode", "words", "meaning", "rank"):
            self._metrics.seconds.labels(stage).observe(getattr(found, f"{stage}_s"))
        removed: Counter[str] = Counter()
        documents = [self._document(passage, removed) for passage in found.passages]
        for kind, count in removed.items():
            self._metrics.neutralised.labels(kind).inc(count)
        facts = [f"passages={len(documents)}", f"ms={took_s * 1e3:.1f}"]
        facts += [f"neutralised={removed.total()}"] if removed.total() else []
        record.note(NAME, ",".join(facts))
        talk = chat.Conversation()
        talk.CopyFrom(conversation)
        talk.documents_are_ranked = not talk.documents
        record.of_step[self] = len(talk.documents)
        talk.documents.extend(documents)
        return talk

    def _document(self, passage: encoder_pb2.Passage, removed: Counter[str]) -> chat.Document:
        title, text = passage.title or passage.file, passage.text
        if self._settings.neutralise:
            title, text = neutralised(title, removed), neutralised(text, removed)
        place = f"#{passage.place.replace(' ', '-')}" if passage.place else ""
        return chat.Document(title=title, text=text, url=passage.file + place)

    @contextmanager
    def _refusals_counted(self) -> Iterator[None]:
        try:
            yield
        except InvalidRequest:
            self._metrics.requests.labels("refused").inc()
            raise
