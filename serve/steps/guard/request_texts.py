"""The texts of a request that rules look at, with their names, and the request with other texts in their places."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from protos import chat_pb2 as chat
from serve.request import ChatRequest
from serve.steps.guard.rules import Stage


@dataclass(frozen=True, slots=True)
class Place:
    """A text of a request.

    Attributes:
        param: the field that holds it, as the doors name it.
        stage: whose words they are.
        text: the words.
        path: where it is in the conversation; empty for a raw prompt.
    """

    param: str
    stage: Stage
    text: str
    path: tuple[int | str, ...] = ()

    @property
    def is_json(self) -> bool:
        """Whether they are a call's arguments."""
        return len(self.path) > 1 and self.path[1] == "call"


def places_of(asked: chat.Conversation | str) -> Iterator[Place]:
    """Every text, in the request's order. A tool's result counts as a document: the user did not write it."""
    if isinstance(asked, str):
        yield Place("prompt", Stage.INPUT, asked)
        return
    for number, message in enumerate(asked.messages):
        where = f"messages[{number}]"
        stage = Stage.DOCUMENTS if message.role == chat.ROLE_TOOL else Stage.INPUT
        if message.content:
            yield Place(f"{where}.content", stage, message.content, (number, "content"))
        for place, call in enumerate(message.tool_calls):
            param = f"{where}.tool_calls[{place}].function.arguments"
            yield Place(param, Stage.INPUT, call.arguments, (number, "call", place))
    for number, document in enumerate(asked.documents):
        for field in ("title", "text"):
            if text := getattr(document, field):
                yield Place(f"documents[{number}].{field}", Stage.DOCUMENTS, text, ("documents", number, field))


def with_texts(request: ChatRequest, texts: Mapping[Place, str]) -> ChatRequest:
    """Return the request with other texts in these places; the request itself stays as it is."""
    if isinstance(request.input, str):
        [text] = texts.values()
        return replace(request, input=text)
    talk = chat.Conversation()
    talk.CopyFrom(request.input)
    for place, text in texts.items():
        match place.path:
            case ("documents", int(number), str(field)):
                setattr(talk.documents[number], field, text)
            case (int(number), "content"):
                talk.messages[number].content = text
            case (int(number), "call", int(call)):
                talk.messages[number].tool_calls[call].arguments = text
    return replace(request, input=talk)
