"""Rules, ready to look at texts."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from router.model.suspicion import shipped
from serve.steps.guard.called.rules import CalledRules, OnCall, Service
from serve.steps.guard.detectors.allowed import Allowed
from serve.steps.guard.detectors.control_tokens import ControlTokens
from serve.steps.guard.detectors.credentials import Credentials
from serve.steps.guard.detectors.personal import PersonalData
from serve.steps.guard.detectors.phrases import BadPattern, Phrases
from serve.steps.guard.detectors.prompt_leak import PromptLeak
from serve.steps.guard.finding import Detector
from serve.steps.guard.inspector import Allowance, CompiledRule, Inspector
from serve.steps.guard.learned.reading import Verdicts
from serve.steps.guard.learned.rules import LearnedRules, Weigher, weigher_of
from serve.steps.guard.limits import FindLimits
from serve.steps.guard.rules import (
    FindAllowed,
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

    def __init__(
        self,
        file: GuardFile,
        *,
        on_failure: Callable[[Rule], None] | None = None,
        on_call: OnCall = lambda rule, took_s: None,
    ) -> None:
        """`on_failure` hears of each time that a rule could not be carried out, `on_call` of each call of a service.

        Raises:
            GuardFileError: a pattern is wrong, or a rule needs a package that is not installed.
        """
        self.rules = file.rules
        self.hold_chars, self.hold_s = file.hold_chars, file.hold_ms / 1000
        self._on_failure = on_failure
        self._made = {rule.name: _made(rule) for rule in file.rules if rule.find.kind in _MAKERS}
        self._allowances = [_allowance(rule, rule.find) for rule in file.rules if isinstance(rule.find, FindAllowed)]
        self._weighers = _weighers(file.rules)
        self._verdicts = Verdicts()
        services = ((rule, rule.find) for rule in file.rules)
        self._services = [
            Service(rule, find, on_call=on_call) for rule, find in services if isinstance(find, FindService)
        ]
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
        if not self._allowances:
            return Inspector(compiled, self.failed)
        return Inspector(compiled, self.failed, [one for one in self._allowances if _applies(one.rule, *place)])

    def limits(self, key: str = "") -> list[tuple[Rule, FindLimits]]:
        """Return the rules that limit what a request holds, for a caller."""
        return [(rule, rule.find) for rule in self.rules if isinstance(rule.find, FindLimits) and _is_for(rule, key)]

    def learned(self, key: str = "") -> LearnedRules | None:
        """Return the rules that weigh whole texts; None where none applies to the caller."""
        if key not in self._learned:
            found = [
                (rule, self._weighers[rule.name])
                for rule in self.rules
                if rule.name in self._weighers and _is_for(rule, key)
            ]
            made = LearnedRules(found, shipped(), self._verdicts, self.failed) if found else None
            self._learned[key] = made
        return self._learned[key]

    def called(self, key: str = "") -> CalledRules | None:
        """Return the rules that ask another service; None where none applies to the caller."""
        if key not in self._called:
            found = [one for one in self._services if _is_for(one.rule, key)]
            self._called[key] = CalledRules(found, self.failed) if found else None
        return self._called[key]

    def asked_about_answers(self, key: str, expert: str) -> CalledRules | None:
        """Return the rules that ask another service about an expert's answers; None where none does."""
        found = [one for one in self._services if _applies(one.rule, Stage.OUTPUT, key, expert)]
        return CalledRules(found, self.failed) if found else None

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


def _applies(rule: Rule, stage: Stage, key: str, expert: str) -> bool:
    return stage in rule.at and _is_for(rule, key) and (not rule.experts or expert in rule.experts)


def _is_for(rule: Rule, key: str) -> bool:
    return not rule.keys or key in rule.keys


def _weighers(rules: Sequence[Rule]) -> dict[str, Weigher]:
    """Make what carries the learned rules out; without any, nothing of the sort is read from the disk."""
    learned = [rule for rule in rules if isinstance(rule.find, Learned)]
    made = ((rule.name, weigher_of(rule, shipped())) for rule in learned)
    return {name: weigher for name, weigher in made if weigher is not None}


def _made(rule: Rule) -> Detector:
    with _usable(rule):
        return _MAKERS[rule.find.kind](rule.find)


def _allowance(rule: Rule, find: FindAllowed) -> Allowance:
    with _usable(rule):
        return Allowance(rule, Allowed(find.words, find.patterns, find.domains), frozenset(find.rules))


@contextmanager
def _usable(rule: Rule) -> Iterator[None]:
    """Say what is wrong with a rule's patterns."""
    try:
        yield
    except BadPattern as error:
        raise GuardFileError(f"rule {rule.name}: a pattern cannot be used: {error}") from None
    except ImportError:
        raise GuardFileError(f"rule {rule.name} needs RE2: pip install 'moegate[guard]'") from None
