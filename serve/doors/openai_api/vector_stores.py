"""OpenAI's form of vector stores (https://platform.openai.com/docs/api-reference/vector-stores), for collections.

A collection's name is its id, a file's name the file's. When a collection was made and how large it is on disk is not
known: such fields are 0. What would change one (create, upload, delete) is not offered: `python -m experts.retrieval`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from protos import encoder_pb2 as pb
from serve.doors.json_body import Body
from serve.doors.not_offered import UNSUPPORTED, NotOffered
from serve.embeddings.vector_stores import MOST_RESULTS


def _query(value: object) -> object:
    """A list of one query is that query; several would want an order among the passages of all."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, list):
        raise PydanticCustomError(UNSUPPORTED, "several queries are not supported; search once for each")
    return value


_ONE = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1}


class RankingOptions(Body):
    """How passages are ranked: always by words and meaning together, whatever `ranker` says."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: float | None = Field(None, description="the least score of a passage")


class VectorStoreSearchBody(Body):
    """POST /v1/vector_stores/{id}/search."""

    query: Annotated[str, BeforeValidator(_query), WithJsonSchema({"anyOf": [{"type": "string"}, _ONE]})]
    max_num_results: int | None = Field(None, ge=1, le=MOST_RESULTS, description="passages; unset = 10")
    ranking_options: RankingOptions | None = None
    filters: Annotated[object, NotOffered()] = None
    rewrite_query: Annotated[object, NotOffered(False)] = None

    @property
    def threshold(self) -> float:
        """The least score of a passage."""
        least = self.ranking_options.score_threshold if self.ranking_options else None
        return 0.0 if least is None else least


def store_object(collection: pb.Collection) -> dict[str, Any]:
    """A collection as a vector store."""
    counts = {"in_progress": 0, "completed": collection.files, "failed": 0, "cancelled": 0, "total": collection.files}
    return {
        "id": collection.name,
        "object": "vector_store",
        "created_at": 0,
        "name": collection.name,
        "usage_bytes": 0,
        "file_counts": counts,
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": None,
        "metadata": {"passages": str(collection.passages), "encoder": collection.encoder},
    }


def stores_body(collections: Sequence[pb.Collection]) -> bytes:
    """All of them, as one page."""
    data = [store_object(one) for one in collections]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": False})


def search_body(body: VectorStoreSearchBody, passages: Sequence[pb.Passage]) -> bytes:
    """What a search has found, best first; the score is the cosine, from 0, and decides the order with the words."""
    rows = [_row(passage) for passage in passages]
    page = {"search_query": [body.query], "data": [row for row in rows if row["score"] >= body.threshold]}
    return orjson.dumps({"object": "vector_store.search_results.page", **page, "has_more": False, "next_page": None})


def _row(passage: pb.Passage) -> dict[str, Any]:
    return {
        "file_id": passage.file,
        "filename": passage.file,
        "score": round(max(0.0, passage.meaning), 6),
        "attributes": {"title": passage.title, "place": passage.place},
        "content": [{"type": "text", "text": passage.text}],
    }
