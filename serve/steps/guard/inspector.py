"""Looks at texts by the rules that find places in them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from serve.steps.guard.detectors.allowed import ENTITY as ALLOWED
from serve.steps.guard.detectors.allowed import Allowed
from serve.steps.guard.finding import Detector, Finding
from serve.steps.guard.hit import Hit
from serve.steps.guard.plain_text import Places, plain
from serve.steps.guard.rules import Action, Rule


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule and what carries it out."""

    rule: Rule
    detector: Detector


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rule that says what is no finding of the rules that it names; of any where it names none."""

    rule: Rule
    allowed: Allowed
    of: frozenset[str]


class Inspector:
    """The rules of one stage, for one caller and expert."""

    def __init__(
        self,
        rules: Sequence[CompiledRule],
        on_failure: Callable[[Rule, Exception], None],
        allowances: Sequence[Allowance] = (),
    ) -> None:
        """`on_failure` hears of a rule that could not be carried out, and raises where it fails closed."""
        self._rules = rules
        self._allowances = allowances
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
        if self._allowances and found:
            found = [self._unless_allowed(rule, span, text) for rule, span in found]
        return sorted(found, key=lambda pair: pair[1].start) if len(found) > 1 else found

    def _unless_allowed(self, rule: Rule, span: Finding, text: str) -> tuple[Rule, Finding]:
        """A finding, or in its place the rule that allows it."""
        for one in self._allowances:
            if (not one.of or rule.name in one.of) and one.allowed.allows(text[span.start : span.end]):
                return one.rule, Finding(ALLOWED, span.start, span.end)
        return rule, span

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


@lru_cache
def _either(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _joined(hints: Sequence[re.Pattern[str] | None]) -> re.Pattern[str] | None:
    """One hint for all; None where one of them always looks."""
    patterns = tuple(hint.pattern for hint in hints if hint is not None)
    return _either(patterns) if len(patterns) == len(hints) else None
