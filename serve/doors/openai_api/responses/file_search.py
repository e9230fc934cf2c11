"""OpenAI's `file_search` in the Responses API, for collections (https://platform.openai.com/docs/guides/tools-file-search).

OpenAI's model decides whether to search. Here the search always takes place, before the request is routed, as with
`retrieval` (`serve.steps.retrieval`); so it is the first item of the output, and the answer cites what it has found.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from protos import chat_pb2 as chat
from serve.doors.json_body import Body
from serve.doors.not_offered import NotOffered
from serve.doors.own_fields import MOST_COLLECTIONS
from serve.request import Retrieval

MOST_RESULTS: Final = 50
_PLACE: Final = re.compile(r"#(?:lines?|page|row)-[\d-]+\Z")


class RankingOptions(Body):
    """How passages are ranked: always by words and meaning together, whatever `ranker` says."""

    ranker: Literal["auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[object, NotOffered(0, 0.0)] = None
    hybrid_search: Annotated[object, NotOffered()] = None


class FileSearchTool(Body):
    """A search of collections, whose names are the ids."""

    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=MOST_COLLECTIONS)
    max_num_results: int | None = Field(None, ge=1, le=MOST_RESULTS)
    ranking_options: RankingOptions | None = None
    filters: Annotated[object, NotOffered()] = None

    def to_retrieval(self) -> Retrieval:
        """Translate it."""
        return Retrieval(tuple(self.vector_store_ids), self.max_num_results)


@dataclass(frozen=True, slots=True)
class FileSearch:
    """A file search of one request.

    Attributes:
        where: the tool's place in the request.
        retrieval: what is searched.
        own: how many documents the request brings itself; those that are found come behind them.
        has_results: whether the output is to hold the passages, too.
    """

    where: str
    retrieval: Retrieval
    own: int
    has_results: bool

    @property
    def words(self) -> Mapping[str, str]:
        """What the client calls the core's fields."""
        return {"retrieval": self.where, "collections": "vector_store_ids", "top_k": "max_num_results"}


@dataclass(frozen=True, slots=True)
class Searched:
    """A file search that took place.

    Attributes:
        search: which.
        question: what was searched for.
        documents: the request's, and behind them those that were found.
        has_failed: the answer rests on no passage because the search failed.
    """

    search: FileSearch
    question: str
    documents: Sequence[chat.Document]
    has_failed: bool

    def item(self, item: str) -> dict[str, Any]:
        """The output item."""
        status = "failed" if self.has_failed else "completed"
        return search_item(item, status, [self.question], self._results() if self.search.has_results else None)

    def _results(self) -> list[dict[str, Any]]:
        found = self.documents[self.search.own :]
        return [{**_file(one.url), "text": one.text, "attributes": _attributes(one)} for one in found]

    def annotation(self, annotation: chat.Annotation) -> dict[str, Any] | None:
        """The annotation of a citation of what was found; None where it cites another document."""
        if annotation.document <= self.search.own:
            return None
        told = {"type": "file_citation", "index": annotation.end_index, **_file(annotation.url)}
        return {**told, "title": annotation.title, "url": annotation.url}


def search_item(
    item: str, status: str, queries: Sequence[str], results: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    """A file search, as the output tells it."""
    told = {"queries": list(queries), "results": None if results is None else list(results)}
    return {"id": item, "type": "file_search_call", "status": status, **told}


def _attributes(document: chat.Document) -> dict[str, str]:
    """A passage's title and its place in its file, as a search of a vector store tells them."""
    place = _PLACE.search(document.url)
    return {"title": document.title, "place": place[0].removeprefix("#").replace("-", " ", 1) if place else ""}


def _file(url: str) -> dict[str, str]:
    """The file that a passage is of, without the place in it."""
    name = _PLACE.sub("", url)
    return {"file_id": name, "filename": name}
