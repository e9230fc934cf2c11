"""What an HTTP door is: a wire form, that is one API's way to ask, to answer and to fail.

`serve.doors.http_api.doors` lists the paths and their forms, and `generate` beside it serves every one of them in the
same way. A new API is a package with a `WireForm` and a line in that list.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.field_names import SAME_NAMES, FieldNames
from serve.doors.request_builder import Headers, Parts
from serve.errors import MoegateError
from serve.request import Caller, ChatRequest, Door
from serve.steps.answer import Answer, End


class ErrorForm(Protocol):
    """How an API tells of an error.

    Attributes:
        name: of its schema in the OpenAPI document.
        schema: that schema.
    """

    name: str
    schema: Mapping[str, Any]

    def body(self, error: MoegateError) -> bytes:
        """The body of a response that is an error."""
        ...

    def event(self, error: MoegateError) -> bytes:
        """The last event of a stream in which there is no answer yet."""
        ...


class Presenter(Protocol):
    """Writes one answer: as events, in the order of the calls, or whole."""

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The events of one of the expert's messages; the first one's open the stream."""
        ...

    async def closing(self, end: End) -> bytes:
        """The last events of a whole answer; they open the stream where the answer is empty.

        Raises:
            StorageUnavailable: the answer was to be kept and could not be.
        """
        ...

    def failed(self, error: MoegateError) -> bytes:
        """The last event of an answer that broke off."""
        ...

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The answer as one body.

        Raises:
            StorageUnavailable: as `closing` does.
        """
        ...


class ChoicesPresenter(Protocol):
    """Writes several answers to one request, each under its index."""

    def piece(self, index: int, chunk: pb.GenerateChunk) -> bytes:
        """The events of a message of one of the answers."""
        ...

    def ended(self, index: int, end: End) -> bytes:
        """The last events of one answer."""
        ...

    def closing(self, ends: Sequence[End]) -> bytes:
        """The stream's last events, once all answers are whole."""
        ...

    def failed(self, error: MoegateError) -> bytes:
        """The last event of a stream in which an answer broke off."""
        ...

    def whole(self, answers: Sequence[CollectedAnswer], ends: Sequence[End]) -> bytes:
        """All answers as one body."""
        ...


@dataclass(frozen=True, slots=True)
class Choices:
    """The answers that a request wants beside its first one.

    Attributes:
        further: parts of the requests for them, which the core gets as well.
        present: makes the presenter of all, once one of them has its first token.
    """

    further: Sequence[Parts]
    present: Callable[[ChatRequest, Answer], ChoicesPresenter]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its wire form has read it.

    Attributes:
        parts: of the request that the core gets.
        present: makes the presenter, once the first token is here.
        names: what its client calls the fields.
        choices: where it wants several answers.
    """

    parts: Parts
    present: Callable[[ChatRequest, Answer], Presenter]
    names: FieldNames = SAME_NAMES
    choices: Choices | None = None


Read = Callable[[bytes, Headers, Caller], Awaitable[Asked]]
"""Reads a request's body.

Raises:
    InvalidRequest: it cannot be read; `param` names the field at fault.
    NotFound: it goes on from something that is not there.
    StorageUnavailable: that could not be looked up.
"""


@dataclass(frozen=True, slots=True)
class WireForm:
    """One API's form; one object serves all requests.

    Attributes:
        door: the door's name in metrics and logs.
        summary: what a request does, for the OpenAPI document.
        body: the model of a request's body, for the same.
        id_prefix: what the id of an answer begins with.
        read: reads a request.
        errors: how it tells of errors.
        id_headers: the headers that tell a request's id.
    """

    door: Door
    summary: str
    body: type[BaseModel]
    id_prefix: str
    read: Read
    errors: ErrorForm
    id_headers: tuple[bytes, ...] = (b"x-request-id",)
