"""Limits on what one request may hold: how many messages, documents and tools, how long, and how deep a schema.

The gateway has limits of its own for everybody (`experts.conversation.request_limits`). A rule sets lower ones, for
whom it likes, and may only count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from protos import chat_pb2 as chat

Most = Annotated[int | None, Field(ge=0, strict=True)]
AtLeastOne = Annotated[int | None, Field(ge=1, strict=True)]

ENTITY: Final = "LIMIT"


class FindLimits(BaseModel):
    """A request that holds too much. None: the rule does not limit it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["limits"]
    messages: AtLeastOne = None
    message_chars: AtLeastOne = None  # of one message, or of a raw prompt
    documents: Most = None
    document_chars: AtLeastOne = None  # of one document
    chars: AtLeastOne = None  # of all messages, calls and documents
    tools: Most = None
    schema_chars: AtLeastOne = None  # of one tool's parameters, or of the answer's form
    schema_depth: AtLeastOne = None  # objects and lists inside one another

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if all(value is None for name, value in self if name != "kind"):
            raise ValueError("name at least one limit")
        return self


@dataclass(frozen=True, slots=True)
class TooMuch:
    """A limit that a request is over.

    Attributes:
        param: the field that holds too much, as the doors name it.
        why: how much it holds, and how much it may; never a word of it.
    """

    param: str
    why: str


def over(find: FindLimits, asked: chat.Conversation | str) -> Iterator[TooMuch]:
    """Yield the limits that a request is over, the cheapest to check first."""
    if isinstance(asked, str):
        yield from _above(find.message_chars, len(asked), "prompt", "characters")
        yield from _above(find.chars, len(asked), "prompt", "characters")
        return
    for name, most, held in (
        ("messages", find.messages, asked.messages),
        ("documents", find.documents, asked.documents),
        ("tools", find.tools, asked.tools),
    ):
        yield from _above(most, len(held), name, name)
    if find.message_chars is not None or find.document_chars is not None or find.chars is not None:
        yield from _long(find, asked)
    if find.schema_chars is not None or find.schema_depth is not None:
        yield from _schemas(find, asked)


def depth(value: Any) -> int:  # noqa: ANN401  # JSON
    """Return how many objects and lists are inside one another; 0 for a number or a string."""
    deepest, layer = 0, [value]
    while layer := [one for one in layer if isinstance(one, dict | list)]:
        deepest += 1
        layer = [inner for one in layer for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


def _long(find: FindLimits, asked: chat.Conversation) -> Iterator[TooMuch]:
    total = 0
    for at, message in enumerate(asked.messages):
        length = len(message.content)
        total += length + sum(len(call.arguments) for call in message.tool_calls)
        yield from _above(find.message_chars, length, f"messages[{at}].content", "characters")
    for at, document in enumerate(asked.documents):
        length = len(document.title) + len(document.text)
        total += length
        yield from _above(find.document_chars, length, f"documents[{at}]", "characters")
    yield from _above(find.chars, total, "messages", "characters with calls and documents")


def _schemas(find: FindLimits, asked: chat.Conversation) -> Iterator[TooMuch]:
    schemas = [(f"tools[{at}].function.parameters", tool.parameters_json) for at, tool in enumerate(asked.tools)]
    schemas.append(("response_format", asked.response_format.schema_json))
    for param, schema in schemas:
        yield from _above(find.schema_chars, len(schema), param, "characters")
        if schema and find.schema_depth is not None:
            yield from _above(find.schema_depth, depth(orjson.loads(schema)), param, "levels")


def _above(most: int | None, held: int, param: str, what: str) -> Iterator[TooMuch]:
    if most is not None and held > most:
        yield TooMuch(param, f"{held} {what}, at most {most}")
