"""Rules, ready to look at texts."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from router.model.suspicion import shipped
from serve.steps.guard.called.rules import CalledRules, Service
from serve.steps.guard.detectors.control_tokens import ControlTokens
from serve.steps.guard.detectors.credentials import Credentials
from serve.steps.guard.detectors.personal import PersonalData
from serve.steps.guard.detectors.phrases import BadPattern, Phrases
from serve.steps.guard.detectors.prompt_leak import PromptLeak
from serve.steps.guard.finding import Detector, Finding
from serve.steps.guard.hit import Hit
from serve.steps.guard.learned.reading import Verdicts
from serve.steps.guard.learned.rules import LearnedRules, Weigher, weigher_of
from serve.steps.guard.plain_text import Places, plain
from serve.steps.guard.rules import (
    Action,
    FindPhrases,
    FindPromptLeak,
    FindService,
    GuardFile,
    GuardFileError,
    Learned,
    Rule,
    Stage,
)

log = logging.getLogger("moegate.guard")

_PROMPTS: Final = 256  # system prompts whose runs of words are kept


class BrokenRule(Exception):
    """A rule with `fail: closed` could not be carried out."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.name)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule and what carries it out."""

    rule: Rule
    detector: Detector


@lru_cache(_PROMPTS)
def _prompt_leak(prompts: tuple[str, ...], words: int) -> PromptLeak:
    return PromptLeak(prompts, words)


_MAKERS: Final[dict[str, Callable[[Any], Detector]]] = {
    "personal_data": lambda find: PersonalData(find.entities),
    "credentials": lambda _: Credentials(),
    "control_tokens": lambda _: ControlTokens(),
    "phrases": lambda find: Phrases(find.words, find.patterns, find.allow, longest=find.longest),
}


_SPANS: Final = frozenset({*_MAKERS, "prompt_leak"})
"""Kinds that find places in a text; the others judge whole texts."""


class RuleSet:
    """All rules of a file."""

    def __init__(self, file: GuardFile, *, on_failure: Callable[[Rule], None] | None = None) -> None:
        """`on_failure` hears of each time that a rule could not be carried out.

        Raises:
            GuardFileError: a pattern is wrong, or a rule needs a package that is not installed.
        """
        self.rules = file.rules
        self.hold_chars, self.hold_s = file.hold_chars, file.hold_ms / 1000
        self._on_failure = on_failure
        self._made = {rule.name: _made(rule) for rule in file.rules if rule.find.kind in _MAKERS}
        self._weighers = _weighers(file.rules)
        self._verdicts = Verdicts()
        services = ((rule, rule.find) for rule in file.rules)
        self._services = [Service(rule, find) for rule, find in services if isinstance(find, FindService)]
        self._called: dict[str, CalledRules | None] = {}
        self._learned: dict[str, LearnedRules | None] = {}
        self._selected: dict[tuple[Stage, str, str], tuple[Rule, ...]] = {}

    def at(self, stage: Stage, *, key: str = "", expert: str = "", prompts: tuple[str, ...] = ()) -> "Inspector | None":
        """Return what looks at texts of a stage; None where no rule does.

        Args:
            stage: where.
            key: the name of the caller's API key; empty without keys.
            expert: who answers, at the output.
            prompts: the system prompts of the request, at the output.
        """
        place = (stage, key, expert)
        rules = self._selected.get(place)
        if rules is None:
            rules = tuple(rule for rule in self.rules if rule.find.kind in _SPANS and _applies(rule, *place))
            self._selected[place] = rules
        if not rules:
            return None
        compiled = [CompiledRule(rule, self._detector(rule, prompts)) for rule in rules]
        return Inspector(compiled, self.failed)

    def learned(self, key: str = "") -> LearnedRules | None:
        """Return the rules that weigh whole texts; None where none applies to the caller."""
        if key not in self._learned:
            found = [
                (rule, self._weighers[rule.name])
                for rule in self.rules
                if rule.name in self._weighers and (not rule.keys or key in rule.keys)
            ]
            made = LearnedRules(found, shipped(), self._verdicts, self.failed) if found else None
            self._learned[key] = made
        return self._learned[key]

    def called(self, key: str = "") -> CalledRules | None:
        """Return the rules that ask another service; None where none applies to the caller."""
        if key not in self._called:
            found = [one for one in self._services if not one.rule.keys or key in one.rule.keys]
            self._called[key] = CalledRules(found, self.failed) if found else None
        return self._called[key]

    async def close(self) -> None:
        """Give back what rules hold open; a call that is under way goes on to its end."""
        for service in self._services:
            await service.close()

    def failed(self, rule: Rule, error: Exception) -> None:
        """Tell of a rule that could not be carried out.

        Raises:
            BrokenRule: it fails closed.
        """
        log.error("a rule could not be carried out", extra={"rule": rule.name, "error": type(error).__name__})
        if self._on_failure is not None:
            self._on_failure(rule)
        if rule.fail == "closed":
            raise BrokenRule(rule) from None

    @property
    def changes_answers(self) -> bool:
        """Whether an answer may be read, and changed, on its way back."""
        return any(Stage.OUTPUT in rule.at or rule.restore for rule in self.rules)

    def _detector(self, rule: Rule, prompts: tuple[str, ...]) -> Detector:
        if isinstance(rule.find, FindPromptLeak):
            return _prompt_leak(prompts, rule.find.words)
        return self._made[rule.name]


class Inspector:
    """The rules of one stage, for one caller and expert."""

    def __init__(self, rules: Sequence[CompiledRule], on_failure: Callable[[Rule, Exception], None]) -> None:
        """`on_failure` hears of a rule that could not be carried out, and raises where it fails closed."""
        self._rules = rules
        self._failed = on_failure
        self.hint = _joined([one.detector.hint for one in rules])

    def hits(self, text: str) -> list[Hit]:
        """Return what the rules find in a whole text, in its order.

        Two rules' findings may overlap: `disjoint` picks those that are masked.

        Raises:
            BrokenRule: a rule that fails closed could not be carried out.
        """
        found = self.findings(plain(text))
        if not found:
            return []
        places = Places(text)
        return [Hit(rule, one.entity, *places.original(one.start, one.end)) for rule, one in found]

    def findings(self, text: str) -> list[tuple[Rule, Finding]]:
        """Return the same of a plain text, with spans of it.

        Raises:
            BrokenRule: likewise.
        """
        found = []
        for one in self._rules:
            try:
                spans = one.detector.find(text)
            except Exception as error:
                self._failed(one.rule, error)
            else:
                found += [(one.rule, span) for span in _first_ones(spans)]
        return sorted(found, key=lambda pair: pair[1].start) if len(found) > 1 else found

    def open_from(self, text: str) -> int:
        """Return from where on a plain text may be the beginning of something that a rule finds.

        Raises:
            BrokenRule: likewise.
        """
        open_from = len(text)
        for one in self._rules:
            try:
                open_from = min(open_from, one.detector.open_from(text))
            except Exception as error:
                self._failed(one.rule, error)
        return open_from


def disjoint(hits: Iterable[Hit], rules: Sequence[Rule]) -> list[Hit]:
    """Return what is masked, in the text's order: hits that overlap become one, named as the earliest rule says."""
    order = {rule.name: place for place, rule in enumerate(rules)}
    joined: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if hit.rule.action is not Action.MASK:
            continue
        if joined and hit.start < joined[-1].end:
            last = joined.pop()
            first = min(last, hit, key=lambda one: order[one.rule.name])
            hit = Hit(first.rule, first.entity, last.start, max(last.end, hit.end))  # noqa: PLW2901
        joined.append(hit)
    return joined


def _first_ones(spans: list[Finding]) -> list[Finding]:
    """Those of one rule's that do not begin inside an earlier one."""
    kept: list[Finding] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)) if len(spans) > 1 else spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _applies(rule: Rule, stage: Stage, key: str, expert: str) -> bool:
    return stage in rule.at and (not rule.keys or key in rule.keys) and (not rule.experts or expert in rule.experts)


def _weighers(rules: Sequence[Rule]) -> dict[str, Weigher]:
    """Make what carries the learned rules out; without any, nothing of the sort is read from the disk."""
    learned = [rule for rule in rules if isinstance(rule.find, Learned)]
    made = ((rule.name, weigher_of(rule, shipped())) for rule in learned)
    return {name: weigher for name, weigher in made if weigher is not None}


def _made(rule: Rule) -> Detector:
    try:
        return _MAKERS[rule.find.kind](rule.find)
    except BadPattern as error:
        raise GuardFileError(f"rule {rule.name}: a pattern cannot be used: {error}") from None
    except ImportError:
        assert isinstance(rule.find, FindPhrases)
        raise GuardFileError(f"rule {rule.name} needs RE2: pip install 'moegate[guard]'") from None


@lru_cache
def _either(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _joined(hints: Sequence[re.Pattern[str] | None]) -> re.Pattern[str] | None:
    """One hint for all; None where one of them always looks."""
    patterns = tuple(hint.pattern for hint in hints if hint is not None)
    return _either(patterns) if len(patterns) == len(hints) else None
