"""Who looks at a request, and in which order: the cheapest first."""

from dataclasses import dataclass, replace
from functools import partial

from serve.request import ChatRequest
from serve.steps.guard import limits
from serve.steps.guard.answer import GuardedAnswer, moved
from serve.steps.guard.arguments import GuardedArguments
from serve.steps.guard.called.answer import JudgedAnswer
from serve.steps.guard.called.rules import CalledRules
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import Inspector, disjoint
from serve.steps.guard.learned.rules import LearnedRules
from serve.steps.guard.limits import FindLimits
from serve.steps.guard.masks import Masks
from serve.steps.guard.request_texts import Place, places_of, with_texts
from serve.steps.guard.rules import Rule, Stage
from serve.steps.guard.tally import Tally


@dataclass(slots=True)
class Kept:
    """What the step keeps of one request; `answer` once there is one to look at, `judged` if services look at it."""

    rules: RuleSet
    masks: Masks
    tally: Tally
    answer: GuardedAnswer | None = None
    judged: JudgedAnswer | None = None

    def moved(self, place: int) -> int:
        """Where a character of the expert's text is in the text that has gone out."""
        place = place if self.answer is None else self.answer.moved(place)
        return place if self.judged is None else moved(place, self.judged.shifts)


@dataclass(frozen=True, slots=True)
class Looks:
    """Who looks at a request: rules that limit it, find places in its texts, weigh them, ask a service about them."""

    limits: list[tuple[Rule, FindLimits]]
    inspectors: dict[Stage, Inspector | None]
    learned: LearnedRules | None
    called: CalledRules | None

    @classmethod
    def of(cls, rules: RuleSet, key: str) -> "Looks | None":
        """Choose them for a caller; None where nobody looks."""
        inspectors = {stage: rules.at(stage, key=key) for stage in (Stage.INPUT, Stage.DOCUMENTS)}
        looks = cls(rules.limits(key), inspectors, rules.learned(key), rules.called(key))
        return looks if looks.limits or looks.learned or looks.called or any(inspectors.values()) else None

    async def over(self, request: ChatRequest, kept: Kept) -> ChatRequest:
        """Look at a request; returns it masked, with what was read of it for the router.

        Raises:
            ContentBlocked: a rule blocks it.
            BrokenRule: a rule that fails closed could not be carried out.
        """
        for rule, find in self.limits:
            for much in limits.over(find, request.input):
                kept.tally.take([Hit(rule, limits.ENTITY, 0, 0, much.why)], Stage.INPUT, param=much.param)
        found, texts = self._places(request, kept)
        if self.learned is not None:
            reader = self.learned.reader()
            for one in self.learned.found(request.input, reader):
                kept.tally.take([one.hit], one.place.stage, param=one.place.param)
            request = replace(request, read=reader.read)
        if self.called is not None:
            for place, hits in await self.called.found(request.input):
                kept.tally.take(hits, place.stage, param=place.param)
                found.setdefault(place, []).extend(hits)
        masked = {place: disjoint(hits, kept.rules.rules) for place, hits in found.items()}
        texts |= {place: kept.masks.mask(place.text, hits) for place, hits in masked.items() if hits}
        return with_texts(request, texts) if texts else request

    def _places(self, request: ChatRequest, kept: Kept) -> tuple[dict[Place, list[Hit]], dict[Place, str]]:
        """Find places in each text; returns them, and the arguments of calls that are masked already."""
        found: dict[Place, list[Hit]] = {}
        texts: dict[Place, str] = {}
        for place in places_of(request.input):
            inspector = self.inspectors[place.stage]
            if inspector is None:
                continue
            if place.is_json:
                if (passed := _arguments(place, inspector, kept)) != place.text:
                    texts[place] = passed
            elif hits := inspector.hits(place.text):
                kept.tally.take(hits, place.stage, param=place.param)
                found[place] = hits
        return found, texts


def _arguments(place: Place, inspector: Inspector, kept: Kept) -> str:
    """Look at a call's arguments; returns them masked."""
    take = partial(kept.tally.take, stage=place.stage, param=place.param)
    return GuardedArguments(inspector, kept.rules.rules, kept.masks, take, restores=False).passed(place.text)
