"""Learned rules, ready to weigh the turns and documents of a request."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from protos import chat_pb2 as chat
from router.model.suspicion import INJECTION, JAILBREAK, PASTED_FROM, Suspicion
from router.model.topic import TooFewExamples, Topic
from serve.steps.guard.hit import Hit
from serve.steps.guard.learned.reading import Reader, Verdicts
from serve.steps.guard.request_texts import Place, places_of
from serve.steps.guard.rules import FindInjection, FindJailbreak, FindTopic, GuardFileError, Rule, Stage

_LAST_TURNS: Final = 16
_JOINED: Final = 4  # turns that are also read as one: an attack may be split over them
_BELOW: Final = -30.0


@dataclass(frozen=True)
class Turn:
    """One user's turn, or several read as one, and what is known of it.

    Attributes:
        text: its words.
        system: the system prompts that it came with; empty where they do not matter.
        is_newest: it is what is to be answered now, alone or with those before it.
    """

    reader: Reader
    text: str
    system: str = ""
    is_newest: bool = True

    @cached_property
    def logits(self) -> tuple[float, ...]:
        """Log-odds of the heads, the document's being that of a long turn's pieces."""
        found = self.reader.highest(self.text)
        pasted = self.reader.pasted(self.text) if len(self.text) > PASTED_FROM else _BELOW
        return float(found[JAILBREAK]), float(found[INJECTION]), pasted

    @cached_property
    def context(self) -> float:
        """Log-odds beside what the system prompt withholds."""
        if not self.system:
            return _BELOW
        logits, sign = self.reader.logits(self.text)
        found = self.reader.suspicion.context_logit(
            logits, self.system, self.text, self.reader.features(self.text), sign=sign
        )
        return _BELOW if found is None else found


class Weigher(Protocol):
    """Carries one learned rule out; says why it has found something, None where it has not."""

    def turn(self, turn: Turn) -> str | None:
        """Weigh a user's turn."""
        ...

    def document(self, text: str, reader: Reader) -> str | None:
        """Weigh a document or a tool's result."""
        ...


class Attack:
    """Jailbreaks, or injections."""

    def __init__(self, suspicion: Suspicion, find: FindJailbreak | FindInjection) -> None:
        self._suspicion = suspicion
        self._is_jailbreak = isinstance(find, FindJailbreak)
        rate = find.false_positives
        self._least = {name: suspicion.threshold(name, rate) for name in suspicion.thresholds}

    def turn(self, turn: Turn) -> str | None:
        """The highest of what the heads say of it."""
        jailbreak, injection, pasted = turn.logits
        if self._is_jailbreak:
            return self._why("jailbreak", jailbreak)
        return self._why("injection", injection) or self._why("pasted", pasted) or self._why("context", turn.context)

    def document(self, text: str, reader: Reader) -> str | None:
        """The highest of its pieces."""
        return None if self._is_jailbreak else self._why("document", reader.document(text))

    def _why(self, question: str, logit: float) -> str | None:
        least = self._least[question]
        if logit < least:
            return None
        said, limit = (self._suspicion.probability(question, one) for one in (logit, least))
        return f"{question} {said:.3f}, limit {limit:.3f}"


class OffTopic:
    """Turns about something else than the examples."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def turn(self, turn: Turn) -> str | None:
        """A turn that is too far from the subject; earlier ones were weighed when they came."""
        if not turn.is_newest:
            return None
        score = self._topic.score(turn.reader.features(turn.text))
        return None if score >= self._topic.threshold else f"nearness {score:.3f}, limit {self._topic.threshold:.3f}"

    def document(self, text: str, reader: Reader) -> str | None:
        """Documents have no subject that matters."""
        return None


def weigher_of(rule: Rule, suspicion: Suspicion) -> Weigher | None:
    """Make what carries a rule out; None for a rule that is not learned.

    Raises:
        GuardFileError: a topic has too few examples for its rate.
    """
    if isinstance(rule.find, FindJailbreak | FindInjection):
        return Attack(suspicion, rule.find)
    if isinstance(rule.find, FindTopic):
        try:
            return OffTopic(Topic.of(rule.find.examples, rule.find.false_refusals, suspicion.background))
        except TooFewExamples as error:
            raise GuardFileError(f"rule {rule.name}: {error}") from None
    return None


ENTITIES: Final = {"jailbreak": "JAILBREAK", "injection": "INJECTION", "topic": "OFF_TOPIC"}


@dataclass(frozen=True, slots=True)
class Found:
    """What a learned rule has found: in whose words, and why."""

    rule: Rule
    place: Place
    why: str

    @property
    def hit(self) -> Hit:
        """The whole text is what it has found."""
        return Hit(self.rule, ENTITIES[self.rule.find.kind], 0, len(self.place.text), self.why)


class LearnedRules:
    """Those that apply to one caller."""

    def __init__(
        self,
        rules: Sequence[tuple[Rule, Weigher]],
        suspicion: Suspicion,
        verdicts: Verdicts,
        on_failure: Callable[[Rule, Exception], None],
    ) -> None:
        """`on_failure` hears of a rule that could not be carried out, and raises where it fails closed."""
        self._at = {stage: [pair for pair in rules if stage in pair[0].at] for stage in (Stage.INPUT, Stage.DOCUMENTS)}
        self._reads_system = any(isinstance(rule.find, FindInjection) for rule, _ in self._at[Stage.INPUT])
        self._suspicion = suspicion
        self._verdicts = verdicts
        self._on_failure = on_failure

    def looks_at(self, stage: Stage) -> bool:
        """Tell whether one of them does."""
        return bool(self._at.get(stage))

    def reader(self) -> Reader:
        """Make what reads one request."""
        return Reader(self._suspicion)

    def found(self, asked: chat.Conversation | str, reader: Reader) -> Iterator[Found]:
        """Yield what the rules find in a request."""
        if self._at[Stage.INPUT]:
            yield from self._in_turns(asked, reader)
        if self._at[Stage.DOCUMENTS] and not isinstance(asked, str):
            for place in places_of(asked):
                if place.stage is Stage.DOCUMENTS:
                    yield from self._in_document(place, reader)

    def found_in(self, text: str, stage: Stage, reader: Reader, system: str = "") -> Iterator[Found]:
        """Yield what the rules find in one text."""
        place = Place("text", stage, text)
        if stage is Stage.INPUT:
            yield from self._in_turn(place, Turn(reader, text, system))
        elif stage is Stage.DOCUMENTS:
            yield from self._in_document(place, reader)

    def _in_turns(self, asked: chat.Conversation | str, reader: Reader) -> Iterator[Found]:
        if isinstance(asked, str):
            yield from self._in_turn(Place("prompt", Stage.INPUT, asked), Turn(reader, asked))
            return
        places = [
            Place(f"messages[{at}].content", Stage.INPUT, message.content)
            for at, message in enumerate(asked.messages)
            if message.role == chat.ROLE_USER and message.content
        ][-_LAST_TURNS:]
        if not places:
            return
        system = ""
        if self._reads_system:
            system = "\n".join(one.content for one in asked.messages if one.role == chat.ROLE_SYSTEM)
        newest = places[-1]
        yield from self._in_turn(newest, Turn(reader, newest.text, system))
        for place in places[:-1]:
            yield from self._in_turn(place, self._earlier(place.text, reader))
        if len(places) > 1:
            joined = "\n".join(place.text for place in places[-_JOINED:])
            yield from self._in_joined(newest, Turn(reader, joined, system))

    def _earlier(self, text: str, reader: Reader) -> Turn:
        turn = Turn(reader, text, is_newest=False)
        known = self._verdicts.get(text)
        if known is None:
            self._verdicts.keep(text, turn.logits)
        else:
            turn.__dict__["logits"] = known
        return turn

    def _in_turn(self, place: Place, turn: Turn) -> Iterator[Found]:
        for rule, weigher in self._at[Stage.INPUT]:
            try:
                why = weigher.turn(turn)
            except Exception as error:  # whatever it is, the rule says what follows
                self._on_failure(rule, error)
            else:
                if why is not None:
                    yield Found(rule, place, why)

    def _in_joined(self, place: Place, turn: Turn) -> Iterator[Found]:
        """Several turns as one; what they are about is told by the newest, alone or with them."""
        yield from (one for one in self._in_turn(place, turn) if not isinstance(one.rule.find, FindTopic))

    def _in_document(self, place: Place, reader: Reader) -> Iterator[Found]:
        for rule, weigher in self._at[Stage.DOCUMENTS]:
            try:
                why = weigher.document(place.text, reader)
            except Exception as error:  # likewise
                self._on_failure(rule, error)
            else:
                if why is not None:
                    yield Found(rule, place, why)
