"""What a message of a chat request says: a text, or parts of text and of refusals, which become one text.

Source: https://platform.openai.com/docs/api-reference/chat/create.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Tag, TypeAdapter, WithJsonSchema

from serve.doors.json_body import Body, OtherType, by_type


class TextPart(Body):
    """Words."""

    type: Literal["text"]
    text: str

    @property
    def said(self) -> str:
        """Its words."""
        return self.text


class RefusalPart(Body):
    """Words of an assistant that refused."""

    type: Literal["refusal"]
    refusal: str

    @property
    def said(self) -> str:
        """Its words."""
        return self.refusal


_Part = Annotated[
    Annotated[TextPart, Tag("Text")] | Annotated[RefusalPart, Tag("Refusal")] | OtherType,
    by_type(text="Text", refusal="Refusal"),
]
_PARTS: Final[TypeAdapter[list[Any]]] = TypeAdapter(list[_Part])


def _content_text(value: object) -> object:
    """Flatten a list of parts of text, or of refusals; any other part is refused by its place."""
    return "\n".join(part.said for part in _PARTS.validate_python(value)) if isinstance(value, list) else value


_PARTS_SCHEMA = {
    "anyOf": [
        {
            "type": "object",
            "required": ["type", kind],
            "properties": {"type": {"const": kind}, kind: {"type": "string"}},
        }
        for kind in ("text", "refusal")
    ]
}
Content = Annotated[
    str | None,
    BeforeValidator(_content_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PARTS_SCHEMA}, {"type": "null"}]}),
]
