"""Bodies in JSON: read within their bounds, checked by a model, refused by the field at fault.

The wire forms (`serve.openai_api`, `serve.anthropic_api`) declare their models out of `Body`, and `parse` reads them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from experts.conversation.bounded_json import crossing, field_at_fault
from experts.conversation.request_limits import BODY
from serve.doors.not_offered import UNSUPPORTED
from serve.errors import InvalidRequest, MalformedBody, UnsupportedParameter

B = TypeVar("B", bound=BaseModel)
_NOT_OFFERED: Final = frozenset({UNSUPPORTED, "extra_forbidden"})


class Body(BaseModel):
    """A JSON object off the wire."""

    # strict: "0.5" is no number; ignore: fields of tomorrow's SDKs must not break today's gateway
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class ClosedBody(Body):
    """A JSON object whose fields are all known: any other is refused by name."""

    model_config = ConfigDict(extra="forbid")


def by_type(tags: Mapping[str, str], otherwise: str) -> Callable[[object], str]:
    """Make a discriminator that tells objects apart by their field `type`: its value to a tag of the union.

    Tags begin with a capital, so that `parse` leaves them out of the name of a field at fault.
    """

    def tag(value: object) -> str:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return tags.get(kind, otherwise) if isinstance(kind, str) else otherwise

    return tag


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
    """Name the first field at fault as the client wrote it. The value itself is never repeated."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ""
    for part in first["loc"]:
        if isinstance(part, int):
            param += f"[{part}]"
        elif part.isidentifier() and not part[0].isupper():  # pydantic puts the names of union members in, too
            param += f".{part}" if param else part
    kind = UnsupportedParameter if first["type"] in _NOT_OFFERED else InvalidRequest
    return kind(f"'{param}': {first['msg']}", param=param or None)
