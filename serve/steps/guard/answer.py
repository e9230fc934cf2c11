"""An answer under guard: its text piece by piece, each tool call's arguments whole.

A client cannot use half of a call's JSON, and a rule that read it in its written form would be deceived by escapes. So
arguments wait for their end, and each string in them is looked at as what it says.
"""

import time
from collections.abc import Callable, Sequence

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.steps.guard.arguments import GuardedArguments
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import Inspector
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage
from serve.steps.guard.stream import GuardedText
from serve.steps.guard.tally import Tally


class GuardedAnswer:
    """One answer.

    Attributes:
        tally: what has been found.
        shifts: see `GuardedText.shifts`.
    """

    def __init__(
        self,
        inspector: Inspector | None,
        rules: RuleSet,
        masks: Masks,
        tally: Tally,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`inspector` is None where nothing is looked for, and names alone are to be put back."""
        self.tally = tally
        self._masks = masks
        self._clock = clock
        self._text = (
            GuardedText(
                inspector,
                rules.rules,
                masks,
                self._found,
                hold_chars=rules.hold_chars,
                on_bound=tally.bound,
                clock=clock,
            )
            if inspector
            else None
        )
        self.shifts = self._text.shifts if self._text else []
        self._named_since = 0.0
        self._named = ""  # may be the beginning of a name that is to be put back
        self._read = 0  # characters in which names have been looked for
        self._restored_shifts: list[tuple[int, int]] = []
        self._arguments = GuardedArguments(inspector, rules.rules, masks, self._found, restores=True)
        self._calls: dict[int, chat.ToolCallDelta] = {}
        self._tokens = 0

    @property
    def held_since(self) -> float | None:
        """When the first character of the text that is held back came; None where none is. Calls are no text."""
        since = self._text.held_since if self._text is not None else None
        return self._named_since if self._named else since

    def passed(self, chunk: pb.GenerateChunk) -> pb.GenerateChunk | None:
        """Return what of a message may go on; None where all of it waits.

        Raises:
            ContentBlocked: a rule blocks the rest of the answer.
            BrokenRule: a rule that fails closed could not be carried out.
        """
        if chunk.text:
            text = chunk.text if self._text is None else self._text.feed(chunk.text)
            chunk.text = self._restored(text) if self._masks.can_restore else text
        if chunk.tool_calls:
            self._keep(chunk)
        if not chunk.text and not chunk.tool_calls:
            self._tokens += chunk.token_count
            return None
        if self._tokens:
            chunk.token_count += self._tokens
            self._tokens = 0
        return chunk

    def released(self, chunk: pb.GenerateChunk | None) -> pb.GenerateChunk | None:
        """Text has been held back for long enough; return `chunk` with all of it, None where there is nothing.

        Raises:
            ContentBlocked, BrokenRule: as `passed` does.
        """
        text = self._text.release() if self._text is not None else ""
        if self._masks.can_restore:
            text = self._restored(text, is_last=True)
        if not text:
            return chunk
        chunk = pb.GenerateChunk() if chunk is None else chunk
        chunk.text += text
        chunk.token_count, self._tokens = chunk.token_count + self._tokens, 0
        return chunk

    def rest(self) -> pb.GenerateChunk | None:
        """The answer has ended; return what has been held back, None where there is nothing.

        Raises:
            ContentBlocked, BrokenRule: as `passed` does.
        """
        text = self._text.flush() if self._text is not None else ""
        if self._masks.can_restore:
            text = self._restored(text, is_last=True)
        last = pb.GenerateChunk(text=text, token_count=self._tokens, tool_calls=self._whole_calls(None))
        return last if last.text or last.tool_calls else None

    def moved(self, place: int) -> int:
        """Where a character of the expert's text is in the text that has gone out."""
        return moved(moved(place, self.shifts), self._restored_shifts)

    def _keep(self, chunk: pb.GenerateChunk) -> None:
        """Collect the pieces of calls; a call goes on, whole, once the next one begins."""
        done: list[chat.ToolCallDelta] = []
        for piece in chunk.tool_calls:
            known = self._calls.get(piece.index)
            if known is None:
                done += self._whole_calls(piece.index)
                self._calls[piece.index] = piece
            else:
                known.MergeFrom(
                    chat.ToolCallDelta(depends_on=piece.depends_on if piece.HasField("depends_on") else None)
                )
                known.arguments += piece.arguments
        chunk.ClearField("tool_calls")
        chunk.tool_calls.extend(done)

    def _whole_calls(self, before: int | None) -> list[chat.ToolCallDelta]:
        done = [self._calls.pop(index) for index in sorted(self._calls) if before is None or index < before]
        for call in done:
            call.arguments = self._arguments.passed(call.arguments)
        return done

    def _restored(self, text: str, *, is_last: bool = False) -> str:
        text = self._named + text
        place = len(text) if is_last else self._masks.open_from(text)
        if place < len(text) and not self._named:
            self._named_since = self._clock()
        self._named = text[place:]
        begun, self._read = self._read, self._read + place
        return self._masks.restore(text[:place], lambda at, by: self._restored_shifts.append((begun + at, by)))

    def _found(self, hits: list[Hit]) -> None:
        self.tally.take(hits, Stage.OUTPUT)


def moved(place: int, shifts: Sequence[tuple[int, int]]) -> int:
    """Where a character of a text is after these shifts."""
    return place + sum(by for at, by in shifts if at <= place)
