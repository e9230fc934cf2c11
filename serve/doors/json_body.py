"""Bodies in JSON: read within their bounds, checked by a model, refused by the field at fault.

The wire forms (`openai_api`, `anthropic_api`) declare their models out of `Body`, and `parse` reads them.
"""

import re
from typing import Annotated, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from experts.conversation.bounded_json import crossing, field_at_fault
from experts.conversation.request_limits import BODY
from serve.doors.not_offered import UNSUPPORTED
from serve.errors import InvalidRequest, MalformedBody, UnsupportedParameter

B = TypeVar("B", bound=BaseModel)
_NOT_OFFERED: Final = frozenset({UNSUPPORTED, "extra_forbidden"})
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")  # of a type that some API has: an error may repeat it


class Body(BaseModel):
    """A JSON object off the wire."""

    # strict: "0.5" is no number; ignore: fields of tomorrow's SDKs must not break today's gateway
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class Other(Body):
    """The member of a union of objects for every `type` that is not offered: refused by name."""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, value: object) -> object:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and _NAME.fullmatch(kind):
            raise PydanticCustomError(UNSUPPORTED, "the type '{kind}' is not supported", {"kind": kind})
        raise PydanticCustomError(UNSUPPORTED, "this type is not supported")


OtherType = Annotated[Other, Tag("Other"), WithJsonSchema({"not": {}})]


def by_type(**tags: str) -> Discriminator:
    """Tell objects apart by their field `type`: from its value to the tag of a union's member; `Other` for the rest.

    `missing` is the tag of an object without one.

    Tags begin with a capital, so that `parse` leaves them out of the name of a field at fault.
    """

    def tag(value: object) -> str:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return tags.get("missing" if kind is None else kind, "Other") if isinstance(kind, str | None) else "Other"

    return Discriminator(tag)


TEXT_OR_LIST: Final = Discriminator(lambda value: "Text" if isinstance(value, str) else "List")
"""Tells a text from anything else, which has to be a list."""


def parse(kind: type[B], raw: bytes) -> B:
    """Read a body.

    Raises:
        MalformedBody: it is not a JSON object.
        InvalidRequest: a field is missing, of the wrong type or beyond its bounds; `param` names it.
        UnsupportedParameter: a field is known and not offered, or not known where all have to be.
    """
    crossed = crossing(raw, BODY)
    if crossed is not None:
        raise _beyond(crossed, field_at_fault(raw, BODY), kind)
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedBody("the body is not valid JSON") from None
    if not isinstance(content, dict):
        raise MalformedBody("the body must be a JSON object")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _invalid(error) from None


def _beyond(crossed: str, field: str, kind: type[BaseModel]) -> InvalidRequest:
    """Name the field that is too deep or has too many parts; where it is none of ours, the body itself is at fault."""
    is_ours = re.split(r"\W", field, maxsplit=1)[0] in kind.model_fields
    return (InvalidRequest if is_ours else MalformedBody)(f"'{field or 'body'}' {crossed}", param=field or None)


def _invalid(error: ValidationError) -> InvalidRequest:
    """Name the first field at fault as the client wrote it. No value is repeated, but a type's name."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ""
    for part in first["loc"]:
        if isinstance(part, int):
            param += f"[{part}]"
        elif part.isidentifier() and not part[0].isupper():  # pydantic puts the names of union members in, too
            param += f".{part}" if param else part
    kind = UnsupportedParameter if first["type"] in _NOT_OFFERED else InvalidRequest
    message = "Input should be an object" if first["type"] == "model_type" else first["msg"]  # it names a class of ours
    return kind(f"'{param}': {message}", param=param or None)
