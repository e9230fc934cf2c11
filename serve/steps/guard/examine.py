"""One text under the rules: what each finds in it, why, and what would become of it. For people who write rules."""

import time
from typing import Any

from serve.steps.guard import limits
from serve.steps.guard.compiled import BrokenRule, RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage


class NoRule(Exception):
    """No rule looks at this stage."""


async def hits_of(text: str, rules: RuleSet, stage: Stage, system: str = "") -> list[Hit]:
    """Return what the rules find in a text, a rule that fails closed being a finding of the whole of it.

    `system` is the system prompt that it came with.

    Raises:
        NoRule: none looks there.
    """
    inspector, learned = rules.at(stage), rules.learned()
    called = rules.called()
    limiting = rules.limits() if stage is Stage.INPUT else []
    looks = any(one is not None and one.looks_at(stage) for one in (learned, called))
    if inspector is None and not limiting and not looks:
        raise NoRule(f"no rule looks at {stage.value}")
    try:
        hits = [
            Hit(rule, limits.ENTITY, 0, len(text), much.why)
            for rule, find in limiting
            for much in limits.over(find, text)
        ]
        hits += [] if inspector is None else inspector.hits(text)
        if learned is not None:
            hits += [found.hit for found in learned.found_in(text, stage, learned.reader(), system)]
        if called is not None:
            hits += await called.found_in(text, stage)
        return hits
    except BrokenRule as broken:
        return [Hit(broken.rule, "BROKEN", 0, len(text), "the rule could not be carried out, and fails closed")]


async def examined(text: str, rules: RuleSet, stage: Stage) -> dict[str, Any]:
    """Say what the rules make of a text; for the caller alone, who wrote it: `found` holds parts of it.

    Raises:
        NoRule: none looks there.
    """
    began = time.perf_counter()
    hits = await hits_of(text, rules, stage)
    took_us = (time.perf_counter() - began) * 1e6
    return {
        "verdict": verdict(hits),
        "hits": [_told(hit, text) for hit in hits],
        "masked": Masks().mask(text, disjoint(hits, rules.rules)),
        "latency_us": round(took_us, 1),
    }


def verdict(hits: list[Hit]) -> str:
    """What becomes of a text in which this was found: `block`, `mask`, `monitor` or `pass`."""
    actions = {"block" if hit.entity == "BROKEN" else hit.rule.action.value for hit in hits}
    return next((action for action in ("block", "mask", "monitor") if action in actions), "pass")


def _told(hit: Hit, text: str) -> dict[str, Any]:
    return {
        "rule": hit.rule.name,
        "action": hit.rule.action.value,
        "entity": hit.entity,
        "why": hit.why or hit.rule.find.kind,
        "start": hit.start,
        "end": hit.end,
        "found": text[hit.start : hit.end],
    }
