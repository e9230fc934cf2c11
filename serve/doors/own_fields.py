"""Fields of moegate's own, which every API's body may have beside its API's.

Documents to cite, collections and sets of tools that the gateway keeps, hints for routing.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from experts.conversation.request_limits import MAX_DOCUMENTS
from protos import chat_pb2 as chat
from serve.doors.json_body import Body
from serve.request import NamedToolset, Retrieval

MOST_COLLECTIONS: Final = 16  # of one request
MOST_NAME_CHARS: Final = 64


class RoutingFields(Body):
    """What the caller asks of routing; headers of the same names say it, too (`serve.routing.preferences`)."""

    quality_cost: float | None = Field(
        None, description="moegate's knob, 0..1: 0 is quality alone, towards 1 quality is given up for price"
    )
    ttft_target_ms: float | None = Field(
        None, description="milliseconds from receipt to first token that the caller would like"
    )


class RetrievalBody(Body):
    """Which collections the answer should rest on; their best passages become documents, which the answer cites."""

    model_config = ConfigDict(extra="forbid")

    collections: list[str] = Field(min_length=1, max_length=MOST_COLLECTIONS, description="names of collections")
    top_k: int | None = Field(None, ge=1, le=MAX_DOCUMENTS, description="passages; unset = the gateway's default")

    def to_retrieval(self) -> Retrieval:
        """Translate it."""
        return Retrieval(tuple(self.collections), self.top_k)


def to_retrieval(body: RetrievalBody | None) -> Retrieval | None:
    """Translate the field; None where there is none."""
    return None if body is None else body.to_retrieval()


class ToolsetBody(Body):
    """A set of tools that the gateway keeps, in place of its tools."""

    type: Literal["toolset"]
    name: str = Field(max_length=MOST_NAME_CHARS)


def toolsets_in(tools: Sequence[object] | None) -> tuple[NamedToolset, ...]:
    """Find the sets that are named among a request's tools."""
    named = ((place, tool) for place, tool in enumerate(tools or ()) if isinstance(tool, ToolsetBody))
    return tuple(NamedToolset(tool.name, f"tools[{place}].name") for place, tool in named)


def tool_places(tools: Sequence[object], kept: Sequence[int]) -> dict[str, list[str]]:
    """Say where the tools came from of which the core is told, for `FieldNames.places`; `kept` are their indices.

    Nothing is to be said where all are told.
    """
    return {} if len(kept) == len(tools) else {"tools": [f"tools[{place}]" for place in kept]}


class DocumentBody(Body):
    """What the answer should rest on; moegate numbers documents and the answer cites them as [n]."""

    text: str = Field(description="`content` is another name for it")
    title: str | None = None
    url: str | None = None


def _as_document(value: object) -> object:
    """A plain string is a document's text; `content` is another name for `text`."""
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict) and "text" not in value and "content" in value:
        return {**value, "text": value["content"]}
    return value


_DOCUMENT_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("title", "text", "content", "url")},
    "anyOf": [{"required": ["text"]}, {"required": ["content"]}],
}
Document = Annotated[
    DocumentBody,
    BeforeValidator(_as_document),
    WithJsonSchema({"anyOf": [{"type": "string"}, _DOCUMENT_SCHEMA]}),
]


def to_documents(documents: Sequence[DocumentBody] | None) -> list[chat.Document]:
    """Translate documents."""
    return [chat.Document(title=d.title or "", text=d.text, url=d.url or "") for d in documents or ()]
