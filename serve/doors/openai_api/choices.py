"""Several answers to one request: `n` of them, or one to each of several prompts (`serve.doors.wire_form`)."""

from collections.abc import Sequence

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.openai_api.answers import DONE, Envelope, Frames, usage
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.errors import MoegateError
from serve.steps.answer import End


class OpenAIChoices:
    """Presents them side by side, each under its index; the usage is that of all."""

    def __init__(self, envelope: Envelope, frames: Sequence[Frames]) -> None:
        """Take the frames of each, by index."""
        self._envelope = envelope
        self._frames = frames
        self._unopened = set(range(len(frames)))

    def piece(self, index: int, chunk: pb.GenerateChunk) -> bytes:
        """The frames of a message; before the first one of a choice, the role."""
        return self._opening(index, "" if chunk.text else None) + self._frames[index].piece(chunk)

    def ended(self, index: int, end: End) -> bytes:
        """The last frame of one choice."""
        return self._opening(index, "") + self._frames[index].last(end.completion)

    def closing(self, ends: Sequence[End]) -> bytes:
        """The last frames, once every choice has ended."""
        return self._frames[0].total(_used(ends)) + DONE

    def failed(self, error: MoegateError) -> bytes:
        """The error's frame: where one choice breaks off, all do."""
        return OPENAI_ERRORS.event(error)

    def whole(self, answers: Sequence[CollectedAnswer], ends: Sequence[End]) -> bytes:
        """All choices as one body."""
        told = enumerate(zip(answers, ends, strict=True))
        choices = [self._envelope.choice(answer, end.completion, index) for index, (answer, end) in told]
        return self._envelope.body(choices, _used(ends))

    def _opening(self, index: int, content: str | None) -> bytes:
        if index not in self._unopened:
            return b""
        self._unopened.discard(index)
        return self._frames[index].opening(content)


def _used(ends: Sequence[End]) -> dict[str, int | float]:
    """Add up what the choices have used: each is an answer of its own, and read its prompt anew."""
    told = [end.completion.usage for end in ends]
    total = chat.Usage(
        prompt_tokens=sum(used.prompt_tokens for used in told),
        completion_tokens=sum(used.completion_tokens for used in told),
        estimated=any(used.estimated for used in told),
    )
    return usage(total, sum(end.cost_usd for end in ends))
