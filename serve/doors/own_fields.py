"""Fields of moegate's own, which every API's body may have beside its API's: documents to cite, hints for routing."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from protos import chat_pb2 as chat
from serve.doors.json_body import Body


class RoutingFields(Body):
    """What the caller asks of routing; headers of the same names say it, too (`serve.routing.preferences`)."""

    quality_cost: float | None = Field(
        None, description="moegate's knob, 0..1: 0 is quality alone, towards 1 quality is given up for price"
    )
    ttft_target_ms: float | None = Field(
        None, description="milliseconds from receipt to first token that the caller would like"
    )


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
