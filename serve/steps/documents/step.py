"""Has the encoder tell how near each of a request's documents is to its question.

An expert with `max_documents` is shown the nearest ones of many: by their words alone, or, where this step has measured
it, by words and meaning together (`experts.conversation.ranking`). The documents stay what they are and keep their
numbers. When the encoder fails or is too slow, the words decide: no request fails for it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from protos import chat_pb2 as chat
from protos import encoder_pb2 as pb
from serve.errors import MoegateError
from serve.request import ChatRequest
from serve.settings.encoder import EncoderSettings
from serve.steps.retrieval.question import standalone_question
from serve.steps.step import Step
from serve.steps.vectors import Encoder, vectors_of
from serve.telemetry.metrics.encoder import EncoderMetrics
from serve.telemetry.record import RequestRecord

NAME: Final = "documents"
_CALL: Final = "rank"
_LONGEST: Final = 4_000  # characters of a document: more tokens than encoders read


class DocumentStep(Step):
    """Measures nearness where an expert might be shown fewer documents than a request has."""

    def __init__(
        self,
        encoder: Encoder,
        settings: EncoderSettings,
        metrics: EncoderMetrics,
        most_shown: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_shown` is the fewest documents that any expert shows at most."""
        self._encoder = encoder
        self._settings = settings
        self._metrics = metrics
        self._most_shown = most_shown
        self._clock = clock

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Put beside the documents how near each one is."""
        asked = request.input
        if isinstance(asked, str) or len(asked.documents) <= self._most_shown or asked.documents_are_ranked:
            return request
        question = standalone_question(asked)
        if not question:
            return request
        began = self._clock()
        try:
            nearness = await self._nearness(question, asked.documents, request.deadline)
        except MoegateError as error:
            self._metrics.calls.labels(_CALL, error.code).inc()
            record.note(NAME, f"ranked=words,failed={error.code}")
            return request
        took_s = self._clock() - began
        self._metrics.calls.labels(_CALL, "ok").inc()
        self._metrics.seconds.labels(_CALL).observe(took_s)
        record.note(NAME, f"ranked=words+meaning,of={len(asked.documents)},ms={took_s * 1e3:.1f}")
        told = chat.Conversation()
        told.CopyFrom(asked)
        told.nearness[:] = nearness
        return replace(request, input=told)

    async def _nearness(self, question: str, documents: Sequence[chat.Document], deadline: float) -> list[float]:
        timeout_s = min(self._settings.rank_timeout_s, max(0.0, deadline - self._clock()))
        texts = [_words(document) for document in documents]
        encoded = partial(vectors_of, encoder=self._encoder, metrics=self._metrics, timeout_s=timeout_s)
        asked, given = await asyncio.gather(encoded([question], pb.ROLE_QUERY), encoded(texts, pb.ROLE_PASSAGE))
        nearness: list[float] = (given @ asked[0]).tolist()
        return nearness


def _words(document: chat.Document) -> str:
    text = document.text[:_LONGEST]
    return f"{document.title}\n{text}" if document.title.strip() else text or "-"
