"""Called rules, ready to have a request's texts judged: all at once, each within its deadline, behind a circuit."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from protos import chat_pb2 as chat
from serve.dispatch.circuit_breaker import Circuit
from serve.settings.tree import CircuitSettings
from serve.steps.guard.called.forms import FORMS, Asked, CallFailed, Verdict, read
from serve.steps.guard.hit import Hit
from serve.steps.guard.request_texts import Place, places_of
from serve.steps.guard.rules import Action, FindService, GuardFileError, Rule, Stage

FLAGGED: Final = "FLAGGED"  # the entity of a verdict about a text as a whole
_SPEAKERS: Final[Mapping[Stage, Literal["user", "other", "assistant"]]] = {
    Stage.INPUT: "user",
    Stage.DOCUMENTS: "other",
    Stage.OUTPUT: "assistant",
}
_LATEST: Final = 8  # texts of a stage that a service is asked about: the newest ones


OnCall = Callable[[Rule, float], None]


class CircuitOpen(CallFailed):
    """The service has failed too often of late; it is left alone for a while."""


class Service:
    """What one rule asks."""

    def __init__(
        self,
        rule: Rule,
        find: FindService,
        clock: Callable[[], float] = time.monotonic,
        on_call: OnCall = lambda rule, took_s: None,
    ) -> None:
        """Make the client; nothing is opened yet. `on_call` hears of each call, and how many seconds it took.

        Raises:
            GuardFileError: the environment has no such variable as `key_env` names, the address cannot be read, or
                aiohttp is not installed.
        """
        try:
            from serve.steps.guard.called.json_client import JsonClient  # noqa: PLC0415  # an extra: others need none
        except ImportError:
            raise GuardFileError(f"rule {rule.name} asks a service: pip install 'moegate[guard]'") from None
        self.rule = rule
        self.window_chars = find.window_chars
        self._find = find
        key = os.environ.get(find.key_env) if find.key_env else ""
        if key is None:
            raise GuardFileError(f"rule {rule.name}: the environment has no {find.key_env}")
        try:
            self._client = JsonClient(find.url, (("authorization", f"Bearer {key}"),) if key else ())
        except ValueError as error:
            raise GuardFileError(f"rule {rule.name}: its url cannot be read: {error}") from None
        self._clock, self._on_call = clock, on_call
        settings = CircuitSettings(failures=find.circuit_failures, open_s=find.circuit_open_s)
        self.circuit = Circuit(settings, clock=clock, on_change=lambda state: None)

    async def close(self) -> None:
        """Close what is open; a call that is under way goes on to its end."""
        await self._client.close()

    async def judge(self, asked: Asked) -> Verdict:
        """Have a text judged.

        Raises:
            CallFailed: there is no verdict.
        """
        if not self.circuit.enter():
            raise CircuitOpen("the circuit is open")
        began_at = self._clock()
        body = FORMS[self._find.form].body(asked, self._find.model, self._find.options)
        try:
            async with asyncio.timeout(self._find.deadline_ms / 1000):
                verdict = read(self._find.form, await self._client.post(body), asked.text)
        except TimeoutError:
            self.circuit.failed(began_at=began_at)
            raise CallFailed("no answer within its deadline") from None
        except CallFailed:
            self.circuit.failed(began_at=began_at)
            raise
        except BaseException:  # the client is gone
            self.circuit.abandoned()
            raise
        finally:
            self._on_call(self.rule, self._clock() - began_at)
        self.circuit.succeeded()
        return verdict

    def hits(self, verdict: Verdict, text: str) -> list[Hit]:
        """Turn a verdict into findings: its spans, or the whole text."""
        if verdict.why is None:
            return []
        if verdict.spans:
            spans = sorted(verdict.spans, key=lambda span: span[1])
            return [Hit(self.rule, entity, start, end, verdict.why) for entity, start, end in spans]
        return [Hit(self.rule, FLAGGED, 0, len(text), verdict.why)]


class CalledRules:
    """Those that apply to one caller."""

    def __init__(self, services: Sequence[Service], on_failure: Callable[[Rule, Exception], None]) -> None:
        """`on_failure` hears of a rule that could not be carried out, and raises where it fails closed."""
        self._services = services
        self._on_failure = on_failure

    def looks_at(self, stage: Stage) -> bool:
        """Tell whether one of them does."""
        return any(stage in service.rule.at for service in self._services)

    async def found(self, asked: chat.Conversation | str) -> list[tuple[Place, list[Hit]]]:
        """Return what the services find in a request."""
        return await self._judged(_latest(asked))

    @property
    def window_chars(self) -> int:
        """So much of an answer one of them is to hear at a time, the least of what their rules say."""
        return min(service.window_chars for service in self._services)

    @property
    def may_mask(self) -> bool:
        """Whether one of them masks what it finds."""
        return any(service.rule.action is Action.MASK for service in self._services)

    async def found_in(self, text: str, stage: Stage, question: str = "") -> list[Hit]:
        """Return what they find in one text; an answer is judged beside its question."""
        judged = await self._judged([Place("text", stage, text)], question)
        return [hit for _, hits in judged for hit in hits]

    async def _judged(self, places: Sequence[Place], question: str = "") -> list[tuple[Place, list[Hit]]]:
        pairs = [(service, place) for service in self._services for place in places if place.stage in service.rule.at]
        said = await asyncio.gather(
            *(service.judge(Asked(place.text, _SPEAKERS[place.stage], question)) for service, place in pairs),
            return_exceptions=True,
        )
        found = []
        for (service, place), verdict in zip(pairs, said, strict=True):
            if isinstance(verdict, Verdict):
                if hits := service.hits(verdict, place.text):
                    found.append((place, hits))
            elif isinstance(verdict, Exception):
                self._on_failure(service.rule, verdict)
            else:
                raise verdict
        return found


def _latest(asked: chat.Conversation | str) -> list[Place]:
    """Users' turns and documents, the newest of each; what an expert or the operator has said is left out."""
    by_stage: dict[Stage, list[Place]] = {Stage.INPUT: [], Stage.DOCUMENTS: []}
    for place in places_of(asked):
        if place.stage is Stage.DOCUMENTS or isinstance(asked, str) or _is_users(asked, place):
            by_stage[place.stage].append(place)
    return [place for places in by_stage.values() for place in places[-_LATEST:]]


def _is_users(asked: chat.Conversation, place: Place) -> bool:
    match place.path:
        case (int(number), "content"):
            return asked.messages[number].role == chat.ROLE_USER
    return False
